"""Imports inside function/ point down: entry points, HTTP, sources, core; no name shadows the standard library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FUNCTION = Path(__file__).resolve().parents[2] / "function"
# What a part of the package may not import, not even for types. The core is every module that is in no other part.
PARTS = {
    "http": ("loupe.http",),
    "sources": ("loupe.sources",),
    "entry": (
        "handler",
        "bulk",
        "jobs",
        "release",
        "shadow",
        "loupe.bulk",
        "loupe.jobs",
        "loupe.release",
        "loupe.shadow",
    ),
    "observation": ("loupe.telemetry", "loupe.log", "loupe.redaction", "loupe.processor", "loupe.tracing"),
    "settings": ("loupe.settings", "loupe.experiment_settings", "loupe.variables"),
}
FORBIDDEN = {
    "core": ("http", "sources", "entry", "observation", "settings"),
    "sources": ("http", "entry", "observation", "settings"),
    "settings": ("http", "entry", "observation"),
    "observation": ("http", "entry"),
    "http": ("entry",),
    "entry": (),
}


def part_of(module):
    for part, prefixes in PARTS.items():
        if any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes):
            return part
    return "core"


def modules():
    for path in FUNCTION.rglob("*.py"):
        yield ".".join(path.relative_to(FUNCTION).with_suffix("").parts).removesuffix(".__init__"), path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize(("module", "path"), [pytest.param(*item, id=item[0]) for item in sorted(modules())])
def test_a_part_imports_nothing_above_it(module, path) -> None:
    forbidden = FORBIDDEN[part_of(module)]
    assert [name for name in imports(path) if name.startswith("loupe") and part_of(name) in forbidden] == []


def test_every_part_has_modules() -> None:
    assert {part_of(module) for module, _ in modules()} == set(FORBIDDEN)


def test_the_http_package_does_not_shadow_the_standard_library() -> None:
    """With function/ on the path, as in the image; `-m` puts the working folder there, as the image build does."""
    code = "import http.client, loupe.http.app, loupe.sources.url_fetcher; print(http.client.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=FUNCTION, capture_output=True, text=True, check=True, timeout=60
    )
    assert Path(run.stdout.strip()) == Path(ast.__file__).parent / "http" / "client.py"
