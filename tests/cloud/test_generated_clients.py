"""Clients generated from docs/openapi.json, in Python and TypeScript: they compile, and call the deployed API."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clients
import pytest

if TYPE_CHECKING:
    from deployment import Deployed

    from localcloud.models import Golden

OPENAPI = clients.PROJECT / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client of openapi-python-client, and the program that uses it."""
    folder = tmp_path_factory.mktemp("python-client")
    generator = clients.python().with_name("openapi-python-client")
    clients.run(generator, "generate", "--path", OPENAPI, "--meta", "none", "--output-path", folder / "loupe_client")
    shutil.copyfile(clients.SOURCES / "generated.py", folder / "generated.py")
    return folder


@pytest.fixture(scope="module")
def typescript_client() -> Path:
    """A folder with the types of openapi-typescript, and the compiled program that uses them with openapi-fetch."""
    folder = clients.node()
    modules = folder / "node_modules"
    clients.run(clients.NODE, modules / "openapi-typescript" / "bin" / "cli.js", OPENAPI, "-o", "loupe.ts", cwd=folder)
    clients.run(clients.NODE, modules / "typescript" / "bin" / "tsc", "-p", ".", cwd=folder)
    return folder


def assert_answers(answers: dict[str, Any], case: Golden) -> None:
    assert answers["label"] == case.label
    assert (answers["scores"], answers["all"]) == (1, 2)
    assert answers["outcomes"] == [case.label, "url_not_allowed"]
    assert (answers["model"], answers["code"]) == ("hair-type", "url_not_allowed")


def test_the_python_program_is_typed(python_client: Path) -> None:
    clients.run(
        clients.python(), "-m", "mypy", "--strict", "--follow-imports=silent", "generated.py", cwd=python_client
    )


def test_the_python_client_calls_the_api(python_client: Path, deployed: Deployed, golden_cases: list[Golden]) -> None:
    endpoint = deployed.endpoint
    done = clients.run(
        clients.python(), "generated.py", endpoint["url"], endpoint["api_key"], golden_cases[0].path, cwd=python_client
    )
    answers = json.loads(done.stdout)
    assert_answers(answers, golden_cases[0])
    assert answers["form"] == golden_cases[0].label


def test_the_typescript_client_calls_the_api(
    typescript_client: Path, deployed: Deployed, golden_cases: list[Golden]
) -> None:
    endpoint = deployed.endpoint
    done = clients.run(
        clients.NODE, "generated.js", endpoint["url"], endpoint["api_key"], golden_cases[0].path, cwd=typescript_client
    )
    assert_answers(json.loads(done.stdout), golden_cases[0])
