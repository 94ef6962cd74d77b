"""Package groups: requirements/*.in, their lock files and the extras of the wheel name the same packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
GROUPS = ROOT / "requirements"
LOCKS = {path: path.with_suffix(".txt") for path in (ROOT / "requirements.in", *GROUPS.glob("*.in"))}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
# What nobody needs to synthesize and deploy: browsers, notebooks, fuzzers, test runners, the model's runtime.
NOT_DEPLOYED = {"playwright", "ipykernel", "atheris", "pytest", "hypothesis", "onnxruntime", "matplotlib", "ministack"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(path: Path) -> dict[str, Requirement]:
    """Requirements of an .in file and of those that it includes."""
    result: dict[str, Requirement] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            result |= requirements(path.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            result[normal(requirement.name)] = requirement
    return result


def locked(path: Path) -> dict[str, str]:
    """Name and version of every package of a lock file."""
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([\w.+-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {normal(name): version for name, version in pins}


def extra(name: str) -> dict[str, Requirement]:
    result: dict[str, Requirement] = {}
    for text in EXTRAS[name]:
        requirement = Requirement(text)
        if requirement.name == "loupe":
            for other in requirement.extras:
                result |= extra(other)
        else:
            result[normal(requirement.name)] = requirement
    return result


@pytest.mark.parametrize("source", [path for path, lock in LOCKS.items() if lock.exists()], ids=lambda path: path.name)
def test_a_lock_file_has_the_pins_of_its_source(source: Path) -> None:
    pins = locked(LOCKS[source])
    assert len(pins) >= len(requirements(source)) > 0
    assert {name: str(item.specifier) for name, item in requirements(source).items()} == {
        name: f"=={pins[name]}" for name in requirements(source)
    }


@pytest.mark.parametrize("group", ["deploy", "local", "modelkit"])
def test_a_group_is_locked_to_the_versions_of_the_whole(group: str) -> None:
    whole, pins = locked(ROOT / "requirements.txt"), locked(GROUPS / f"{group}.txt")
    assert {name: version for name, version in pins.items() if whole.get(name) != version} == {}


def test_every_group_is_part_of_the_whole() -> None:
    whole = requirements(ROOT / "requirements.in")
    assert {name for path in GROUPS.glob("*.in") for name in requirements(path)} == whole.keys()


def test_deploying_needs_no_browser_notebook_fuzzer_or_model_runtime() -> None:
    assert locked(GROUPS / "deploy.txt").keys() & NOT_DEPLOYED == set()
    assert locked(ROOT / "requirements.txt").keys() >= NOT_DEPLOYED


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_of_the_wheel_has_the_packages_of_its_group(name: str) -> None:
    setup = requirements(GROUPS / "setup.in")
    group = {key: value for key, value in requirements(GROUPS / f"{name}.in").items() if key not in setup}
    assert extra(name).keys() == group.keys()
    pins = locked(GROUPS / f"{name}.txt")
    assert [str(item) for key, item in extra(name).items() if not item.specifier.contains(pins[key])] == []


def test_the_wheel_has_an_extra_for_every_use() -> None:
    assert EXTRAS.keys() == {"deploy", "local", "modelkit"}
