"""Which programs the RUN instructions of a Dockerfile start, read with Bash's grammar (tree-sitter)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from io import BytesIO

import tree_sitter_bash
from dockerfile_parse import DockerfileParser
from tree_sitter import Language, Node, Parser

_BASH = Language(tree_sitter_bash.language())
_SHELLS = {"sh", "bash"}
# Programs that start the program named by their first operand.
_LAUNCHERS = {"builtin", "chroot", "command", "env", "exec", "nice", "nohup", "stdbuf", "timeout", "xargs"}
_FLAG = "--"


class UnreadableError(Exception):
    """A script or instruction that cannot be read for certain, so that nothing is known about its commands."""


def dockerfile_commands(text: str) -> set[str]:
    """Return the names of all commands in the RUN instructions of a Dockerfile.

    Raises
    ------
    UnreadableError
        If an instruction is not valid Bash, holds a here-document, or takes a command's name from a variable.
    """
    parser = DockerfileParser(fileobj=BytesIO(text.encode()))
    names: set[str] = set()
    for instruction in parser.structure:
        if instruction["instruction"] == "RUN":
            names |= _instruction(instruction["value"])
    return names


def _instruction(value: str) -> set[str]:
    while value.startswith(_FLAG):
        value = value.partition(" ")[2].lstrip()
    if value.startswith("["):
        try:
            return _argv(json.loads(value))
        except ValueError as error:
            raise UnreadableError(f"not an exec form: {value}") from error
    return shell_commands(value)


def shell_commands(script: str) -> set[str]:
    """Return the names of all commands of a script: in lists, pipes, loops, subshells and substitutions alike.

    >>> sorted(shell_commands("a && for x in 1; do b | (c; echo $(d)); done"))
    ['a', 'b', 'c', 'd', 'echo']
    """
    tree = Parser(_BASH).parse(script.encode())
    if tree.root_node.has_error:
        raise UnreadableError(f"not valid Bash: {script}")
    functions = {_text(node.child_by_field_name("name")) for node in _nodes(tree.root_node, "function_definition")}
    names: set[str] = set()
    for node in _nodes(tree.root_node, "command"):
        names |= _command(node)
    if any(_nodes(tree.root_node, "heredoc_redirect")):
        raise UnreadableError("a here-document: classic builders and hadolint do not take them alike")
    if any(_nodes(tree.root_node, "test_command")):
        names.add("[")
    return names - functions


def _command(node: Node) -> set[str]:
    name = _text(node.child_by_field_name("name"))
    if "$" in name or "`" in name:
        raise UnreadableError(f"the command's name is not literal: {_text(node)}")
    arguments = [_text(child) for child in node.children_by_field_name("argument")]
    return _argv([*shlex.split(name), *(word for text in arguments for word in _words(text))])


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def _argv(words: list[str]) -> set[str]:
    """A program and, where it starts another, that one, too."""
    if not words:
        return set()
    name, rest = words[0].rpartition("/")[2] or words[0], words[1:]
    names = {name}
    if name in _SHELLS and "-c" in rest and rest.index("-c") + 1 < len(rest):
        return names | shell_commands(rest[rest.index("-c") + 1])
    if name == "eval":
        return names | shell_commands(" ".join(rest))
    if name in _LAUNCHERS:
        operands = [word for word in rest if not word.startswith("-") and "=" not in word]
        if name == "timeout":
            operands = operands[1:]
        return names | _argv(operands)
    return names


def _nodes(node: Node, kind: str) -> Iterator[Node]:
    if node.type == kind:
        yield node
    for child in node.children:
        yield from _nodes(child, kind)


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode()
