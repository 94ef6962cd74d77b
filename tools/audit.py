"""`python -m tools.audit`: known vulnerabilities of everything that a lock file of this repository pins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from infra.paths import PROJECT_ROOT

# Vulnerabilities that do not apply here, by id: the reason, and until when it holds.
ACCEPTED: Mapping[str, str] = {}
_PROGRAMS = Path(sys.executable).parent
# Arguments, folder -> exit code; the output goes to the terminal.
Runner = Callable[[Sequence[str], Path], int]


def run(arguments: Sequence[str], folder: Path) -> int:
    """Run a program and return its exit code."""
    return subprocess.run(arguments, cwd=folder, check=False).returncode


def lock_files(project: Path = PROJECT_ROOT) -> list[Path]:
    """Return every lock file that git tracks: pinned requirements, and npm's ``package-lock.json``."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=project, capture_output=True, text=True, check=True)
    paths = [project / name for name in done.stdout.split("\0") if name]
    return sorted(path for path in paths if path.name == "package-lock.json" or _is_requirements(path))


def audit(locks: Sequence[Path], runner: Runner) -> Iterator[Path]:
    """Audit each lock file, and yield those with a vulnerability or without an answer."""
    ignored = [option for name in ACCEPTED for option in ("--ignore-vuln", name)]
    for lock in locks:
        print(f"\n{lock.relative_to(PROJECT_ROOT) if lock.is_relative_to(PROJECT_ROOT) else lock}", flush=True)
        if lock.name == "package-lock.json":
            command = ["npm", "audit", "--package-lock-only", "--audit-level=low"]
        else:
            # Nothing is resolved or installed: the file has every package. Without --strict a package that the index
            # does not know is skipped, and the audit passes.
            options = ["--strict", "--disable-pip", "--no-deps", "--requirement", lock.name]
            command = [str(_PROGRAMS / "pip-audit"), *options, *ignored]
        if runner(command, lock.parent) != 0:
            yield lock


def _is_requirements(path: Path) -> bool:
    """Whether a text file pins packages for pip."""
    listed = path.parent.name == "requirements" or path.name.startswith("requirements")
    return listed and path.suffix == ".txt"


def main() -> int:
    """Audit every lock file; return 1 if one has a vulnerability or could not be checked."""
    failed = list(audit(lock_files(), run))
    if failed:
        names = ", ".join(str(path.relative_to(PROJECT_ROOT)) for path in failed)
        print(f"\nerror: vulnerable, or not checked: {names}. Update the pin in its source and run make lock.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
