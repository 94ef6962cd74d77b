"""The command `modelkit compare-variants`: sources, formats, options and exit codes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from traffic_lines import in_arm, jsonl, line
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.traffic import cloudwatch
from modelkit.traffic.collection import Window

ROOT = Path(__file__).resolve().parents[2]
COUNT = 600


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Requests of two arms in turn, each of which answers curly."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(jsonl(*(in_arm(number, ("control", "challenger")[number % 2]) for number in range(COUNT))))
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The challenger is right on 80 % of its images, the control on all."""
    path = tmp_path / "labels.csv"
    rows = ["straight" if number % 2 and number % 10 == 1 else "curly" for number in range(COUNT)]
    path.write_text("request_id,label\n" + "".join(f"request-{n},{label}\n" for n, label in enumerate(rows)))
    return path


def run(*arguments: Any, code: int = 0, **options: Any) -> Any:
    result = CliRunner().invoke(app, ["compare-variants", *map(str, arguments)], **options)
    assert result.exit_code == code, result.output
    return result


def test_a_file_is_compared_as_text(log: Path) -> None:
    text = run(log).stdout
    assert text.startswith("Experiment large: 2 arms")
    assert "NO DIFFERENCE SHOWN YET" in text


def test_a_worse_challenger_exits_with_1(log: Path, labels: Path) -> None:
    assert "challenger against control: WORSE." in run(log, "--labels", labels, "--baseline", "control", code=1).stdout
    # Seen from the other side, it is the better one.
    assert "BETTER" in run(log, "--labels", labels, "--baseline", "challenger").stdout


def test_a_wrong_ratio_exits_with_1(log: Path) -> None:
    assert "MISMATCH" in run(log, "--weights", "control=90", "--weights", "challenger=10", code=1).stdout
    assert "follow the weights" in run(log, "--weights", "control=1", "--weights", "challenger=1").stdout


def test_json_has_every_figure(log: Path, labels: Path) -> None:
    options = ("--labels", labels, "--baseline", "control", "--format", "json")
    value = json.loads(run(log, *options, code=1).stdout)
    assert [arm["name"] for arm in value["arms"]] == ["control", "challenger"]
    (comparison,) = value["comparisons"]
    assert (comparison["verdict"], comparison["accuracy_difference"]) == ("worse", -0.2)
    low, high = comparison["interval"]
    assert -0.26 < low < -0.2 < high < -0.15
    assert value["refused"] is True
    assert value["lines"]["read"] == COUNT


def test_html_is_written_to_a_file(log: Path, labels: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "report.html"
    result = run(log, "--labels", labels, "--baseline", "control", "--format", "html", "--output", page, code=1)
    assert result.stdout == ""
    assert "is written" in result.stderr
    assert page.read_text("utf-8").count("<svg") == 4


def test_standard_input_and_several_files_are_read_together(log: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.jsonl.gz"
    content = log.read_bytes().splitlines(keepends=True)
    half.write_bytes(gzip.compress(b"".join(content[: COUNT // 2])))
    value = json.loads(run("-", half, "--format", "json", input=b"".join(content[COUNT // 2 :])).stdout)
    assert sum(arm["requests"] for arm in value["arms"]) == COUNT
    # A file twice: each request counts once.
    again = json.loads(run(log, log, "--format", "json").stdout)
    assert again["lines"]["duplicates"] == COUNT


def test_models_are_compared_on_demand(log: Path) -> None:
    assert run(log, "--by", "model").stdout.startswith("Models: 1 arm")


def test_the_time_may_be_limited(log: Path) -> None:
    value = json.loads(run(log, "--start", "2026-11-26T02:01:00Z", "--end", "2026-11-26T02:02:00+00:00",
                           "--format", "json").stdout)  # fmt: skip
    assert value["lines"]["requests"] == 60
    run(log, "--start", "2026-11-27", code=3)
    run(log, "--start", "99999d", "--end", "2026-11-27")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--log-group"),
        (("-", "--start", "yesterday"), "must be a time"),
        (("-", "--weights", "control"), "must be NAME=VALUE"),
        (("-", "--weights", "control=many"), "weights are numbers"),
        (("-", "--weights", "control=-1"), "weights are 0 or more"),
        (("-", "--weights", "control=nan"), "weights are 0 or more"),
        (("-", "--confidence", "1"), "0.9999"),
        (("-", "--looks", "0"), "--looks"),
        (("-", "--metrics", "--labels", "x.csv"), "metrics have no request ids"),
    ],
)
def test_wrong_options_exit_with_2(arguments, message) -> None:
    assert message in run(*arguments, code=2, input=b"").output


def test_unusable_input_exits_with_3_and_a_clear_message(tmp_path: Path, log: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"START RequestId: x\n")
    assert "is a classification of this function" in run(empty, code=3).stderr
    assert "No such file" in run(tmp_path / "missing.log", code=3).stderr
    assert "Is a directory" in run(tmp_path, code=3).stderr
    assert "There is no arm 'none'" in run(log, "--baseline", "none", code=3).stderr


def test_damaged_lines_are_counted_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(jsonl(line(1)) + b'{"message": "request", \n' + jsonl(line(2, model=None)) + jsonl(line(3)))
    text = run(path).stdout
    assert "1 lines cannot be read (not JSON): damaged.jsonl:2." in text
    assert "1 lines cannot be read (model is missing): damaged.jsonl:3." in text


class FakeLogs:
    """CloudWatch Logs with pages of events; fails as AWS does if it is to."""

    def __init__(self, pages: list[list[str]], failure: Exception | None = None) -> None:
        self.pages, self.failure, self.requests, self.taken = pages, failure, [], 0

    def get_paginator(self, operation: str) -> FakeLogs:
        assert operation == "filter_log_events"
        return self

    def paginate(self, **arguments: Any) -> Any:
        self.requests.append(arguments)
        if self.failure is not None:
            raise self.failure
        for page in self.pages:
            self.taken += 1
            yield {"events": [{"timestamp": 1, "message": text} for text in page], "nextToken": "t"}


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> FakeLogs:
    fake = FakeLogs([[json.dumps(in_arm(n, "ab"[n % 2])) for n in range(page, page + 5)] for page in (0, 5, 10)])
    monkeypatch.setattr(cloudwatch, "client", lambda region, profile: fake)
    return fake


def test_a_log_group_is_read_by_pages(logs: FakeLogs) -> None:
    options = ("--start", "2026-11-26T00:00Z", "--end", "2026-11-27T00:00Z", "--format", "json")
    value = json.loads(run("--log-group", "/aws/lambda/loupe-prod", *options).stdout)
    assert value["lines"]["requests"] == 15
    (request,) = logs.requests
    assert (request["startTime"], request["endTime"]) == (1795651200000, 1795737600000)
    assert '$.message = "request"' in request["filterPattern"]


def test_a_log_group_is_read_for_a_day_without_a_time(logs: FakeLogs) -> None:
    run("--log-group", "a", "--log-group", "b", "--end", "2030-01-01")
    assert [request["logGroupName"] for request in logs.requests] == ["a", "b"]
    assert all("startTime" in request for request in logs.requests)
    run("--log-group", "a", "--metrics", code=3)
    assert logs.requests[-1]["filterPattern"] == cloudwatch.METRICS


def test_events_are_taken_as_their_page_arrives(logs: FakeLogs) -> None:
    stream = cloudwatch.log_events(logs, "a", Window())
    next(stream)
    assert logs.taken == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ResourceNotFoundException", "There is no log group a in this account and region"),
        ("AccessDeniedException", "need logs:FilterLogEvents"),
        ("ThrottlingException", "answered ThrottlingException"),
    ],
)
def test_what_aws_rejects_exits_with_3_and_a_clear_message(logs: FakeLogs, code, message) -> None:
    logs.failure = ClientError({"Error": {"Code": code, "Message": "arn:aws:secret"}}, "FilterLogEvents")
    error = run("--log-group", "a", code=3).stderr
    assert message in error.replace("\n", " ")
    assert "arn:aws:secret" not in error


def test_missing_credentials_exit_with_3(logs: FakeLogs) -> None:
    logs.failure = NoCredentialsError()
    assert "credentials" in run("--log-group", "a", code=3).stderr


def test_an_unknown_profile_exits_with_3() -> None:
    assert "profile" in run("--log-group", "a", "--profile", "none-such", code=3).stderr


def test_files_need_no_library_of_aws(log: Path) -> None:
    program = (
        "import sys; from modelkit.cli import app\n"
        f"try: app(['compare-variants', {str(log)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'boto3', 'botocore', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
