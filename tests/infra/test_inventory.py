"""The planner's inventory of an environment equals its template and the function's metrics."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from io import BytesIO

import pytest
from loupe.errors import all_problems
from PIL import Image

from tests.infra.counts import assert_counts
from tests.infra.synthesis import ROOT, Synthesized
from tools.plan.costs import LAMBDA_LOG_BYTES
from tools.plan.inventory import (
    CACHE_SERIES,
    OWN_SERIES,
    contract,
)


def test_an_environment_has_what_the_planner_counts(synthesized: Synthesized) -> None:
    assert_counts(synthesized, {})


def _written(**variables: str) -> list[str]:
    """Return the log lines of a classification and of a batch of two, one of them broken."""
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "brown").save(buffer, "JPEG")
    image = base64.b64encode(buffer.getvalue()).decode()
    batch = [{"image": image}, {"image": image[:200]}]
    code = (
        "import json, sys, types, handler\n"
        "context = types.SimpleNamespace(aws_request_id='8f4e2c1a-0000-0000-0000-000000000000',\n"
        "                                get_remaining_time_in_millis=lambda: 9000)\n"
        "for line in sys.stdin:\n"
        "    handler.handler(json.loads(line), context)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(json.dumps(event) for event in ({"image": image}, {"image": image}, {"items": batch})),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LOUPE_ENVIRONMENT": "prod", "LOUPE_MODEL": "hair-type", **variables},
        cwd=ROOT,
    )
    return run.stdout.splitlines()


@pytest.fixture(scope="module")
def written() -> list[str]:
    return _written()


def _series(lines: list[str]) -> set[tuple[str, tuple[str, ...]]]:
    return {
        (metric["Name"], tuple(sorted(set(names) - {"Environment", "Model"})))
        for line in lines
        for directive in json.loads(line).get("_aws", {}).get("CloudWatchMetrics", [])
        for names in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def test_the_function_emits_as_many_series_as_the_planner_counts(written: list[str]) -> None:
    series = _series(written)
    assert sum(not further for _, further in series) == OWN_SERIES, series
    assert {further for _, further in series} == {(), ("Label",), ("Code",)}
    # An upper bound: the contract also has the gateway's codes.
    assert {problem.code for problem in all_problems()} <= set(contract().problem_codes)


def test_a_cache_adds_the_series_that_the_planner_counts(written: list[str]) -> None:
    added = _series(_written(LOUPE_CACHE_MIB="1")) - _series(written)
    assert added == {("CacheHits", ()), ("CacheMisses", ())}
    assert len(added) == CACHE_SERIES


def test_an_experiment_adds_the_series_that_the_planner_counts_for_each_arm() -> None:
    """HTTP requests of two arms, and a parameter that cannot be read."""
    code = (
        "import json, sys, types, handler\n"
        "context = types.SimpleNamespace(aws_request_id='r', get_remaining_time_in_millis=lambda: 9000)\n"
        "def send(path, body, user):\n"
        "    handler.handler({'httpMethod': 'POST', 'path': path, 'body': body, 'headers': {'x-user-id': user},\n"
        "                     'isBase64Encoded': path == '/v1/classify', 'requestContext': {}}, context)\n"
        "image = sys.stdin.read()\n"
        "for user in '12345678':\n"
        "    send('/v1/classify', image, user)\n"
        "    send('/v1/classify/batch', json.dumps({'items': [{'image': image}, {'image': image[:200]}]}), user)\n"
    )
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "brown").save(buffer, "JPEG")
    variables = {
        "LOUPE_MODEL": "hair-type", "LOUPE_MODELS": "hair-type,hair-type-large", "LOUPE_EXPERIMENT": "size",
        "LOUPE_EXPERIMENT_ARMS": "small=hair-type:1,large=hair-type-large:1", "LOUPE_EXPERIMENT_KEY": "header",
        "LOUPE_EXPERIMENT_HEADER": "x-user-id", "LOUPE_EXPERIMENT_PARAMETER": "/p",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1",
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code], input=base64.b64encode(buffer.getvalue()).decode(), capture_output=True,
        text=True, check=True, env={**os.environ, **variables}, cwd=ROOT / "function",
    )  # fmt: skip
    by_arm: dict[str, set[str]] = {}
    others = set()
    for line in run.stdout.splitlines():
        record = json.loads(line)
        for directive in record.get("_aws", {}).get("CloudWatchMetrics", []):
            (names,) = directive["Dimensions"]
            emitted = {metric["Name"] for metric in directive["Metrics"]}
            if "Arm" in names:
                by_arm.setdefault(record["Arm"], set()).update(emitted)
            elif names == ["Environment"]:
                others |= emitted
    assert {arm: len(names) for arm, names in by_arm.items()} == {"large": OWN_SERIES, "small": OWN_SERIES} or (
        # Only the first request of the environment is a cold start.
        sorted(len(names) for names in by_arm.values()) == [OWN_SERIES - 1, OWN_SERIES]
    )
    assert others == {"WeightFailures"}


def test_a_request_writes_about_as_many_bytes_as_the_planner_charges(written: list[str]) -> None:
    lines = [line for line in written if '"route":"classify"' in line]
    second = written[written.index(lines[1]) : written.index(lines[1]) + 1]
    second += [line for line in written[written.index(lines[1]) + 1 :] if "_aws" in line][:1]
    # START, END and REPORT are Lambda's own: 54, 52 and 150 bytes and more; CloudWatch charges 26 bytes for each event.
    charged = sum(len(line) + 1 + 26 for line in second) + 3 * 26 + 260
    assert charged == pytest.approx(LAMBDA_LOG_BYTES, rel=0.15)
