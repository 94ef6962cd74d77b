"""Content of the image: everything that serving needs, and no other files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from localcloud.models import Golden
from localcloud.state import PROJECT
from tests.container.engine import Engine
from tests.container.image import HERE, MODEL, Entry, payload

TASK_ROOT = Path("/var/task")
TARGET = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "os_name": "posix"}
# Flags of a .pyc that its source is never compared with (PEP 552): hash-based, not checked.
UNCHECKED_HASH = "01000000"
MAX_MEGABYTES = 190
FORBIDDEN = re.compile(
    r"(^|/)(tests?|torch|torchvision|onnxruntime/transformers|pip|setuptools|boto3|botocore|conftest\.py|"
    r"test_[^/]*\.py|train\.py|requirements[^/]*\.(txt|in)|README\.md|Dockerfile|\.git|\.venv|[^/]*\.pyi|[^/]*\.whl)(/|$)"
)
Task = dict[str, Entry]


def bytecode(module: str) -> str:
    """Where Python 3.13 looks for a module's bytecode (PEP 3147)."""
    path = Path(module)
    return (path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc").as_posix()


@pytest.fixture(scope="session")
def task(image_entries: dict[Path, Entry]) -> Task:
    """The content of the function's folder, by its path below it."""
    return {
        path.relative_to(TASK_ROOT).as_posix(): entry
        for path, entry in image_entries.items()
        if path.is_relative_to(TASK_ROOT) and path != TASK_ROOT
    }


def test_the_image_adds_files_only_in_the_task_root(
    base_entries: dict[Path, Entry], image_entries: dict[Path, Entry]
) -> None:
    added = [str(path) for path in image_entries.keys() - base_entries.keys() if not path.is_relative_to(TASK_ROOT)]
    assert not added
    assert not base_entries.keys() - image_entries.keys()


def test_the_image_content_is_small(
    base_entries: dict[Path, Entry], image_entries: dict[Path, Entry], record_property: Callable[[str, object], None]
) -> None:
    sizes = [
        sum(entry.size for entry in entries.values() if entry.is_file) for entries in (base_entries, image_entries)
    ]
    added = (sizes[1] - sizes[0]) / 1e6
    record_property("note", f"container: the image adds {added:.0f} MB of content to its base")
    assert added < MAX_MEGABYTES


def test_the_image_has_the_pinned_packages(task: Task) -> None:
    lines = (PROJECT / "function" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[a-z0-9]", line)]
    pins = {f"{canonicalize_name(pin.name)} {str(pin.specifier).removeprefix('==')}" for pin in pinned
              if pin.marker is None or pin.marker.evaluate(TARGET)}  # fmt: skip
    folders = (name.removesuffix(".dist-info") for name in task if re.fullmatch(r"[^/]+\.dist-info", name))
    there = {
        f"{canonicalize_name(name)} {version}" for name, _, version in (folder.partition("-") for folder in folders)
    }
    assert there == pins


def test_the_image_has_every_file_of_the_function(task: Task) -> None:
    source = PROJECT / "function"
    own = {path.relative_to(source).as_posix() for path in (source / "loupe").rglob("*")
           if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    shipped = {name for name, entry in task.items()
               if name.startswith("loupe/") and entry.is_file and "__pycache__" not in name}  # fmt: skip
    assert shipped == own
    assert "loupe/http/page/index.html" in shipped
    assert {
        "handler.py",
        "bulk.py",
        "jobs.py",
        "shadow.py",
        "release.py",
        "python_multipart/__init__.py",
    } <= task.keys()


def test_the_image_has_only_the_files_that_the_models_card_lists(task: Task) -> None:
    card = json.loads((PROJECT / "models" / MODEL / "card.json").read_text(encoding="utf-8"))
    shipped = {name for name, entry in task.items() if name.startswith("models/") and entry.is_file}
    golden = (case["image"] for case in card["golden"])
    files = ("card.json", *(file["path"] for file in card["files"]), *golden)
    assert shipped == {f"models/{MODEL}/{name}" for name in files}
    sizes = {file["path"]: file["bytes"] for file in card["files"]}
    assert {name: task[f"models/{MODEL}/{name}"].size for name in sizes} == sizes


def test_the_image_has_no_development_files(task: Task) -> None:
    assert not sorted(name for name in task if FORBIDDEN.search(name))


def test_every_module_has_unchecked_bytecode(task: Task) -> None:
    missing, checked = [], []
    for name in task:
        if name.endswith(".py"):
            compiled = bytecode(name)
            entry = task.get(compiled)
            if entry is None:
                missing.append(name)
            elif entry.header[8:] != UNCHECKED_HASH:
                checked.append(name)
    assert not missing
    assert not checked


def test_files_are_readable_by_all_and_writable_by_root_only(image_entries: dict[Path, Entry]) -> None:
    entries = [entry for path, entry in image_entries.items()
               if path.is_relative_to(TASK_ROOT) and path != TASK_ROOT and not entry.is_link]  # fmt: skip
    assert not [entry.path for entry in entries if entry.mode & 0o022]
    assert not [entry.path for entry in entries if not entry.mode & (0o004 if entry.is_file else 0o001)]
    assert {(entry.uid, entry.gid) for entry in entries} == {(0, 0)}


def test_a_plain_request_imports_only_the_standard_library_and_the_task_root(
    runner: Engine, image: str, golden_cases: list[Golden]
) -> None:
    script = (HERE / "imports.py").read_text(encoding="utf-8")
    printed = runner.run(image, "python3", "-c", script, stdin=json.dumps(payload(golden_cases[0])).encode())
    lines = printed.decode().splitlines()
    loaded: dict[str, Any] = json.loads(lines[-1])
    assert loaded["result"]["label"] == golden_cases[0].label
    elsewhere = {
        name: file
        for name, file in loaded["origins"].items()
        if file
        and not Path(file).is_relative_to(TASK_ROOT)
        and (re.search("(site|dist)-packages|/var/runtime/", file) or not re.search(r"/lib/python3\.13/", file))
    }
    assert not elsewhere
