"""SnapStart clones the state after INIT: a fork after INIT simulates a restored snapshot.

A fork shares memory as a snapshot does, and takes the calling thread alone: the session has one thread here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loupe import restart

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = 3
PROGRAM = """
import base64, json, os, sys, threading, types
import handler
image = base64.b64encode(open(sys.argv[1], "rb").read()).decode()
assert threading.active_count() == 1, "INIT left threads, which a fork would lose"
loaded = sorted(name for name in sys.modules if name.partition(".")[0] in ("boto3", "botocore", "random", "uuid"))
print(json.dumps({"loaded": loaded}), flush=True)
for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        context = types.SimpleNamespace(aws_request_id=f"request-{number}", get_remaining_time_in_millis=lambda: 9000)
        answers = [handler.handler({"image": image, "identify": True}, context) for _ in range(2)]
        print(json.dumps({"answers": answers}), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def restored() -> list[dict[str, Any]]:
    """Lines of the function's process, and of the environments that were restored from it."""
    image = ROOT / "models" / "hair-type" / "golden" / "curly-1.jpg"
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "function"),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "LOUPE_METRICS_BY_RELEASE": "true",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(image), str(ENVIRONMENTS)],
        env=variables, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_restored_environments_have_different_identities(restored: list[dict[str, Any]]) -> None:
    answers = [line["answers"] for line in restored if "answers" in line]
    assert len(answers) == ENVIRONMENTS
    identities = [{answer["environment"] for answer in pair} for pair in answers]
    assert all(len(pair) == 1 for pair in identities), "an environment keeps its identity"
    assert len(set.union(*identities)) == ENVIRONMENTS, "no environment shares one"


def test_restored_environments_respond_with_their_own_request_ids(restored: list[dict[str, Any]]) -> None:
    answers = [answer for line in restored if "answers" in line for answer in line["answers"]]
    assert {answer["label"] for answer in answers} == {"curly"}
    assert [answer["request_id"] for answer in answers[::2]] == [f"request-{number}" for number in range(ENVIRONMENTS)]


def test_init_makes_no_client_and_draws_nothing_at_random(restored: list[dict[str, Any]]) -> None:
    assert restored[0] == {"loaded": []}


def test_the_first_request_of_each_is_a_cold_start_with_a_restore(restored: list[dict[str, Any]]) -> None:
    lines = [line for line in restored if line.get("message") == "request"]
    assert [line["cold_start"] for line in lines] == [True, False] * ENVIRONMENTS
    assert [line.get("initialization") for line in lines] == ["snap-start", None] * ENVIRONMENTS


def test_clocks_are_read_by_each_request(restored: list[dict[str, Any]]) -> None:
    stamps = [line["timestamp"] for line in restored if line.get("message") == "request"]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) > 1
    assert all(0 < line["duration_ms"] < 5_000 for line in restored if line.get("message") == "request")


def test_a_replaced_process_does_not_ask_for_a_second_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime client calls restore/next after INIT if the type is snap-start; once per snapshot that is right."""
    environments: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda _program, _arguments, variables: environments.append(variables))
    for kind, expected in (("snap-start", "on-demand"), ("provisioned-concurrency", "provisioned-concurrency")):
        first = {"AWS_LAMBDA_INITIALIZATION_TYPE": kind}
        monkeypatch.setattr(restart, "_first_environment", lambda first=first: dict(first))
        restart._replace()
        assert environments[-1]["AWS_LAMBDA_INITIALIZATION_TYPE"] == expected
        assert environments[-1][restart.INITIALIZATION] == "restart"
