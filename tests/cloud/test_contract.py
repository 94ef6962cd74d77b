"""The deployed API does what docs/openapi.json says: schemathesis makes the requests and judges the answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from deployment import Deployed

OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"
EXAMPLES = 60
SECONDS = 60
# A method that a REST API does not have is for its gateway a route that it does not have: 404, never 405. And data that
# the schema allows is mostly no image, or in a bucket that is none: 4xx is the right answer to it.
NOT_CHECKED = ("unsupported_method", "positive_data_acceptance")


@pytest.fixture(scope="module")
def report(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Schemathesis' report of one run: the same requests in every run, and none that makes the function fetch."""
    path = tmp_path_factory.mktemp("schemathesis") / "report.json"
    command = [
        *(Path(sys.executable).with_name("schemathesis"), "--config-file", os.devnull, "run", OPENAPI),
        *("--url", deployed.endpoint["url"].rstrip("/"), "--header", f"x-api-key: {deployed.endpoint['api_key']}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--generation-deterministic"),
        *("--exclude-checks", ",".join(NOT_CHECKED), "--continue-on-failure", "--no-shrink"),
        *("--request-timeout", 30, "--report", "json", "--report-json-path", path),
    ]
    variables = {"LOUPE_URL_POLICY": "off", "LOUPE_URL_PRIVATE_NETWORKS": ""}
    with deployed.released(**variables):
        try:
            run = subprocess.run(
                [str(part) for part in command],
                cwd=path.parent,
                capture_output=True,
                text=True,
                timeout=3 * SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            pytest.fail(f"schemathesis did not end in {error.timeout} s: {error.stdout!r}", pytrace=False)
    assert path.exists(), run.stdout + run.stderr
    results: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return {**results, "log": run.stdout}


def test_every_response_conforms_to_the_contract(report: dict[str, Any], record_property: Any) -> None:
    cases, operations = report["test_cases"], report["operations"]
    record_property(
        "note",
        f"schemathesis {report['schemathesis_version']}: {cases['generated']} requests to {operations['tested']} "
        f"operations, {cases['unique_failures']} failures, {report['running_time']:.0f} s",
    )
    assert report["complete"], report["log"]
    assert (report["failures"], report["errors"], cases["errored"]) == ([], [], 0), report["log"]


def test_every_operation_was_called(report: dict[str, Any]) -> None:
    document = json.loads(OPENAPI.read_text("utf-8"))
    operations = sum(len(methods) for methods in document["paths"].values())
    assert report["operations"]["tested"] == operations
    assert report["test_cases"]["generated"] > 20 * operations
    assert report["running_time"] < SECONDS
    statuses = {name: report["phases"][name]["status"] for name in ("examples", "coverage", "fuzzing")}
    assert set(statuses.values()) == {"success"}, statuses
