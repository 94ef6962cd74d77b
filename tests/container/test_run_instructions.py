"""Every command of every RUN instruction exists in the AWS base image."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localcloud.state import PROJECT
from tests.container.amazon_linux import BUILTINS, COMMANDS
from tests.container.shell import UnreadableError, dockerfile_commands, shell_commands

DOCKERFILES = ("function/Dockerfile", "authorizer/Dockerfile")
_FENCE = re.compile(r"^```dockerfile\n(.*?)^```", re.MULTILINE | re.DOTALL)
# A recipe as an indented block: from its FROM to the first line that is not indented as far.
_INDENTED = re.compile(r"^( +)FROM .*\n(?:\1.*\n| *\n)*", re.MULTILINE)


def _recipes(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    indented = [re.sub(rf"^{match[1]}", "", match[0], flags=re.MULTILINE) for match in _INDENTED.finditer(text)]
    return [*_FENCE.findall(text), *indented]


RECIPES = [
    pytest.param(recipe, id=f"{page.name}-{number}")
    for page in sorted((PROJECT / "docs").glob("*.md"))
    for number, recipe in enumerate(_recipes(page))
]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfiles_run_only_what_amazon_linux_has(name: str) -> None:
    commands = dockerfile_commands((PROJECT / name).read_text(encoding="utf-8"))
    assert {"python", "chmod"} <= commands
    assert not commands - COMMANDS - BUILTINS


def test_every_dockerfile_of_the_project_is_tested() -> None:
    outside = {".venv", "node_modules", ".local", "standin", "cdk.out"}
    present = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("*/**/Dockerfile*")}
    assert {path for path in present if not outside & set(Path(path).parts)} == set(DOCKERFILES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_in_the_documentation_run_only_what_amazon_linux_has(recipe: str) -> None:
    assert not dockerfile_commands(recipe) - COMMANDS - BUILTINS


def test_there_are_recipes_to_test() -> None:
    assert RECIPES


@pytest.mark.parametrize("missing", ["find", "xargs", "tar", "unzip", "which", "gcc", "git", "ps", "hostname"])
def test_commands_absent_from_the_base_are_not_listed(missing: str) -> None:
    assert missing not in COMMANDS | BUILTINS


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("true && find . -type d", "find"),
        ("true || find .", "find"),
        ("true; find .", "find"),
        ("ls | xargs rm", "xargs"),
        ("ls | xargs -n1 unzip", "unzip"),
        ('while read -r f; do tar xf "$f"; done <list', "tar"),
        ("if which python; then true; fi", "which"),
        ("(cd /tmp && gcc a.c)", "gcc"),
        ("{ git clone x; }", "git"),
        ("echo $(hostname)", "hostname"),
        ('echo "$(hostname)"', "hostname"),
        ("A=`ps` true", "ps"),
        ("sh -c 'find . -delete'", "find"),
        ("env A=1 find .", "find"),
        ("exec find .", "find"),
        ("! find .", "find"),
        ("A=1 find .", "find"),
        ("/usr/bin/find .", "find"),
        ("timeout 5 find .", "find"),
    ],
)  # fmt: skip
def test_a_missing_command_is_noticed_wherever_it_stands(script: str, command: str) -> None:
    assert command in shell_commands(script)


def test_words_that_are_no_commands_are_not_taken_for_some() -> None:
    assert shell_commands("echo find && rm -rf tar 'x; git'") == {"echo", "rm"}


@pytest.mark.parametrize("instruction", ['RUN ["find", "."]', "RUN --mount=type=cache,target=/x find .",
                                         "RUN true \\\n    # a comment\n    && find ."])  # fmt: skip
def test_all_forms_of_an_instruction_are_read(instruction: str) -> None:
    assert "find" in dockerfile_commands(f"FROM scratch\n{instruction}\n")


@pytest.mark.parametrize("script", ['"$TOOL" x', "cat <<E\nx\nE\n", "if true; then"])
def test_ambiguous_shell_code_is_an_error(script: str) -> None:
    with pytest.raises(UnreadableError):
        shell_commands(script)
