"""Workflows and the development container run what a laptop runs: make targets; actions are pinned by commit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_bash
import yaml
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# What a step may run in addition to make targets: GitHub's own client, and the selection of one line of its output.
_PLATFORM = {"gh", "head"}
_BASH = Language(tree_sitter_bash.language())
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]


def steps(workflow: Path) -> list[dict[str, Any]]:
    """Steps of every job; a job that calls another workflow has none."""
    return [step for job in jobs(workflow).values() for step in job.get("steps", [])]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_with_its_version(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [action for action in used if not _PINNED.fullmatch(action)] == []
    lines = [line for line in workflow.read_text(encoding="utf-8").splitlines() if "uses:" in line and "@" in line]
    assert len(lines) == len(used)
    assert [line for line in lines if not re.search(r"# v\d+\.\d+\.\d+$", line)] == []


def commands(script: str) -> list[list[str]]:
    """Every command of a shell script as its words, those in pipes and substitutions included."""
    tree = Parser(_BASH).parse(script.encode())
    assert not tree.root_node.has_error, script
    argument_lists: list[list[str]] = []
    pending: list[Node] = [tree.root_node]
    while pending:
        node = pending.pop()
        if node.type == "command":
            argument_lists.append([(child.text or b"").decode() for child in node.children])
        pending.extend(node.children)
    return argument_lists


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_step_runs_make_targets_or_the_client_of_github(workflow: Path) -> None:
    scripts = [step["run"] for step in steps(workflow) if "run" in step]
    assert scripts
    for words in (words for script in scripts for words in commands(script)):
        assert words[0] in _PLATFORM or (words[0] == "make" and words[1] in TARGETS), words


def test_commands_in_substitutions_and_pipes_are_read() -> None:
    assert sorted(commands('x=$(a b | c); if [ -n "$x" ]; then d; fi')) == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_permission_by_default(workflow: Path) -> None:
    document = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert document["permissions"] == {}
    assert all("permissions" in job for job in document["jobs"].values())
    # A job that calls another workflow has the time limits of that.
    assert all("timeout-minutes" in job or "uses" in job for job in document["jobs"].values())


def test_forks_get_no_credentials() -> None:
    document = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    with_token = [job for job in document["jobs"].values() if "id-token" in job["permissions"]]
    assert with_token
    assert all("head.repo.full_name == github.repository" in job["if"] for job in with_token)


def test_the_development_container_sets_up_with_make() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"].removeprefix("make ") in TARGETS
    assert re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:[\w.-]+", container["image"])
