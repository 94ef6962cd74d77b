"""Make the root folder of a stand-in for the AWS base image: python -m tests.container.standin.

The AWS base cannot be pulled everywhere; these tests then build on what debootstrap makes of Debian 13. Its own
Python is a 3.13, so the stand-in needs no interpreter of the machine at hand and runs on the C library that it was
built for; pip is Debian's. /var/lang/bin names that Python as the AWS base does. Every command that the AWS base lacks
is deleted, `sh` is bash, and pip installs only wheels that run on the AWS base's C library. From the project come
awslambdaric and the runtime interface emulator, at the places where the AWS base has them. Beside the operating
system, this is left out on purpose: boto3, which a plain request must not need.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from localcloud.state import PROJECT, runtime_emulator
from tests.container.amazon_linux import COMMANDS, GLIBC

DEBIAN = "trixie"
DEBIAN_PYTHON = "/usr/bin/python3.13"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("ca-certificates", "python3", "python3-pip")
PATH_FOLDERS = ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "usr/games")
# Where Debian's Python goes: off the path, and still below its own prefix.
PYTHON_HOME = "usr/libexec"
# pip asks this module which wheels fit the C library (PEP 600).
MANYLINUX = f"def manylinux_compatible(major, minor, arch):\n    return (major, minor) <= {GLIBC}\n"
PARTS = Path(__file__).parent / "standin"
CACHE = PROJECT / ".local" / "container"
# What a package manager leaves behind, and device files, which a container engine makes itself.
LEFT_OUT = ("dev/*", "proc/*", "var/cache/*", "var/lib/apt/lists/*", "var/log/*", "usr/share/doc/*", "usr/share/man/*")


class StandInError(Exception):
    """This machine cannot make the stand-in; the message says why."""


def digest() -> str:
    """Name of the stand-in that these sources make: the same name, the same content."""
    total = hashlib.sha256(f"{version('awslambdaric')} {platform.machine()}".encode())
    sources = (Path(__file__), Path(__file__).with_name("amazon_linux.py"), *sorted(PARTS.iterdir()))
    for path in (*sources, runtime_emulator()):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def context() -> Path:
    """Return the build context of standin/Dockerfile: made once (about 80 s), then kept in .local/container.

    Raises
    ------
    StandInError
        If it is not there yet and cannot be made.
    """
    folder = CACHE / digest()
    if folder.is_dir():
        return folder
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise StandInError("making it takes root and debootstrap")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="partial-") as scratch:
        root, context = Path(scratch, "root"), Path(scratch, "context")
        context.mkdir()
        _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", DEBIAN, str(root), MIRROR)
        _add_lambda(root)
        _strip_commands(root)
        left_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
        _run("tar", "-C", str(root), "--numeric-owner", *left_out, "-cf", str(context / "root.tar"), ".")
        shutil.copyfile(PARTS / "Dockerfile", context / "Dockerfile")
        for old in CACHE.iterdir():
            if old != Path(scratch):
                shutil.rmtree(old)
        context.rename(folder)
    return folder


def _add_lambda(root: Path) -> None:
    for name in ("var/lang/bin", "var/runtime", "var/task", "opt/python"):
        (root / name).mkdir(parents=True)
    python = root / PYTHON_HOME / Path(DEBIAN_PYTHON).name
    python.parent.mkdir(parents=True, exist_ok=True)
    (root / DEBIAN_PYTHON.lstrip("/")).rename(python)
    for name in ("python", "python3", python.name):
        (root / "var/lang/bin" / name).symlink_to(f"/{PYTHON_HOME}/{python.name}")
    (root / "usr/lib/python3/dist-packages/_manylinux.py").write_text(MANYLINUX, encoding="utf-8")
    _run(
        sys.executable, "-m", "pip", "install", "--quiet", "--target", str(root / "var/runtime"),
        "--python-version", "3.13", "--only-binary=:all:", f"awslambdaric=={version('awslambdaric')}",
    )  # fmt: skip
    for source, target in (
        (runtime_emulator(), "usr/local/bin/aws-lambda-rie"),
        (PARTS / "bootstrap", "var/runtime/bootstrap"),
        (PARTS / "lambda-entrypoint.sh", "lambda-entrypoint.sh"),
    ):
        shutil.copyfile(source, root / target)
        (root / target).chmod(0o755)


def _strip_commands(root: Path) -> None:
    """Leave on the path only what the AWS base has there."""
    shell = root / "usr/bin/sh"
    shell.unlink()
    shell.symlink_to("bash")
    for path in (path for folder in PATH_FOLDERS for path in (root / folder).glob("*")):
        # Alternatives (awk) are links to what is deleted or will be: the stand-in may have less than AWS, never more.
        dangling = path.is_symlink() and "alternatives" in path.readlink().parts
        if path.name not in COMMANDS or dangling:
            path.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise StandInError(f"{Path(command[0]).name} failed: {' / '.join(last)}")


if __name__ == "__main__":
    print(context())
