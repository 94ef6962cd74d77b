"""The base image: its commands are those of Amazon Linux 2023 minimal."""

from __future__ import annotations

from pathlib import Path

from localcloud.state import PROJECT
from tests.container import base
from tests.container.amazon_linux import BUILTINS, COMMANDS
from tests.container.image import Entry
from tests.container.shell import dockerfile_commands

PATH = tuple(map(Path, ("/var/lang/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")))


def commands(entries: dict[Path, Entry]) -> set[str]:
    """Names on the path that can be executed."""
    return {path.name for path, entry in entries.items() if path.parent in PATH and entry.mode & 0o111}


def test_the_stand_in_has_no_command_that_amazon_linux_lacks(
    base_image: base.Base, base_entries: dict[Path, Entry]
) -> None:
    if base_image.image == base.AWS_BASE:
        # The real base: here the list itself is on trial.
        used = set().union(*(dockerfile_commands((PROJECT / name).read_text(encoding="utf-8"))
                             for name in ("function/Dockerfile", "authorizer/Dockerfile")))  # fmt: skip
        assert not used - BUILTINS - commands(base_entries)
    else:
        assert commands(base_entries) <= COMMANDS


def test_the_base_has_what_the_dockerfiles_use(base_entries: dict[Path, Entry]) -> None:
    assert {"sh", "python", "chmod", "cp"} <= commands(base_entries)
