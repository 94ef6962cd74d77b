"""Every make target, module and path that the README names exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess

import pytest

from localcloud.state import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
LINKS = sorted({link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", README) if "://" not in link})
FOLDERS = sorted(set(re.findall(r"^\| `([\w./-]+/)` \|", README, re.MULTILINE)))


NAMED = sorted(set(re.findall(r"(?:^|`|&& |=\S+ )make ([a-z][a-z-]*)", "\n".join(COMMANDS) + README, re.MULTILINE)))


@pytest.mark.parametrize("target", NAMED)
def test_named_targets_exist(target: str) -> None:
    assert target in TARGETS


def test_the_targets_of_the_commands_section_are_among_them() -> None:
    assert {"demo", "test", "up", "setup", "bootstrap", "deploy"} <= set(NAMED)


def test_every_target_is_phony_and_explained() -> None:
    phony = set(re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)[1].replace("\\", "").split())  # type: ignore[index]
    assert phony == TARGETS
    explained = set(re.findall(r"^([a-z][a-z-]*):.*## \S", MAKEFILE, re.MULTILINE))
    assert explained == TARGETS


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_to_files(link: str) -> None:
    assert (PROJECT / link).exists()


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_of_the_table_exist(folder: str) -> None:
    assert (PROJECT / folder).is_dir()


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", README))))
def test_modules_that_are_run_exist(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


def test_programs_come_with_the_environment_or_any_machine() -> None:
    """After `make setup`, in the activated environment: nothing else is to be installed for a command to work."""
    usual = {"make", "cd", ".", "curl", "git", "aws", "export"}
    programs = {re.sub(r"^(\w+=\S+ +)+", "", line).split()[0] for line in COMMANDS if not line.startswith((" ", "#"))}
    own = {program for program in programs if program not in usual}
    created_here = {".venv/bin/python", "python", "cdk"}
    assert own <= created_here


def test_environments_that_are_not_named_are_dev() -> None:
    for assignment in ([], ["ENV="], ["ENV=prod"]):
        done = subprocess.run(["make", "-n", "synth", *assignment], cwd=PROJECT, capture_output=True, text=True)
        name = "prod" if assignment == ["ENV=prod"] else "dev"
        assert f"-c env={name} synth" in done.stdout
        assert f"cdk.out/Loupe-{name}.template.json" in done.stdout


def test_commands_of_other_projects_shells_do_not_reach_recipes() -> None:
    rule = 'probe:\n\t@echo "[$$PYTHONPATH|$$NODE_OPTIONS|$$CDK_OUTDIR|$$CDK_APP|$$CDK_OUTPUT|$$VIRTUAL_ENV]"\n'
    done = subprocess.run(
        ["make", "-s", "-f", "Makefile", "-f", "-", "probe"], cwd=PROJECT, input=rule, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "x", "NODE_OPTIONS": "x", "CDK_OUTDIR": "x", "CDK_APP": "x",
             "CDK_OUTPUT": "x", "VIRTUAL_ENV": "x"},
    )  # fmt: skip
    assert done.stdout.strip() == "[|||||]", done.stderr
