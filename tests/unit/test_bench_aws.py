"""The benchmark on AWS: what it reads of Lambda's REPORT lines, and what it reports."""

from __future__ import annotations

import base64
import json
import threading
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from loupe.processor import describe
from typer.testing import CliRunner

from tools import cdk as cdk_program
from tools.bench_aws import __main__ as command
from tools.bench_aws import measure, report, targets
from tools.bench_aws.measure import Bench, BenchError, Measurement, Report
from tools.bench_aws.subjects import Subject, combinations, cost_usd

SUBJECT = Subject("loupe-bench-0", "hair-type", 1769, "x86_64")


class FakeLambda:
    """Answers as Lambda does: the first ``cold`` invocations start an environment, ``quota`` limits a burst."""

    def __init__(self, cold: int, *, quota: int = 1000, tail: bool = True, result: bytes | None = None) -> None:
        self.cold, self.quota, self.tail, self.result = cold, quota, tail, result
        self.lines: list[str] = []
        self._count, self._lock = 0, threading.Lock()

    def invoke(self, **options: Any) -> dict[str, Any]:
        assert (options["Qualifier"], options["FunctionName"]) == ("live", SUBJECT.function)
        with self._lock:
            self._count += 1
            number = self._count
        if number > self.quota:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")
        init = "\tInit Duration: 250.00 ms" if number <= self.cold else ""
        request = f"r{number}"
        duration = f"Duration: {10 + number / 100:.2f} ms\tBilled Duration: 11 ms"
        lines = [f"REPORT RequestId: {request}\t{duration}\tMemory Size: 1769 MB\tMax Memory Used: 90 MB{init}"]
        if number <= self.cold:
            lines.append(json.dumps({"processor": "A CPU (avx2)"}))
        self.lines += lines
        body = self.result or json.dumps({"label": "curly", "request_id": request}).encode()
        log = base64.b64encode("\n".join(lines).encode()).decode() if self.tail else ""
        return {"Payload": BytesIO(body), **({"LogResult": log} if self.tail else {})}


class FakeLogs:
    """The log group: what the function wrote, once ``delay`` reads have passed."""

    def __init__(self, functions: FakeLambda, delay: int = 0) -> None:
        self._functions, self._delay = functions, delay

    def get_paginator(self, _operation: str) -> FakeLogs:
        return self

    def paginate(self, **_options: Any) -> list[dict[str, Any]]:
        self._delay -= 1
        lines = [] if self._delay >= 0 else self._functions.lines
        return [{"events": [{"message": line} for line in lines]}]


def bench(functions: FakeLambda, logs: FakeLogs | None = None, cold_starts: int = 10) -> Measurement:
    return Bench(functions, logs or FakeLogs(functions), b"image", cold_starts=cold_starts).measure(SUBJECT)


@pytest.mark.parametrize("tail", [True, False], ids=["log tail", "log group"])
def test_cold_and_warm_starts_are_distinguished_by_report_lines(tail: bool) -> None:
    measurement = bench(FakeLambda(cold=12, tail=tail))
    assert len(measurement.cold) == 11
    assert {start.init for start in measurement.cold} == {250.0}
    assert measurement.cold_ms == pytest.approx(260, abs=1)
    assert len(measurement.warm) == 30
    assert 10 < measurement.warm_p50_ms < measurement.warm_p95_ms < 11
    assert measurement.processor == "A CPU (avx2)"


def test_bursts_grow_until_enough_starts_were_cold() -> None:
    measurement = bench(FakeLambda(cold=30), cold_starts=25)
    assert len(measurement.cold) >= 25


def test_a_quota_makes_n_smaller_and_is_reported() -> None:
    functions = FakeLambda(cold=5, quota=5)

    def release(_: Any) -> None:
        functions.quota = 1000

    measuring = Bench(functions, FakeLogs(functions), b"image", cold_starts=10)
    burst = measuring._burst

    def limited(subject: Subject, count: int) -> Any:
        result = burst(subject, count)
        release(None)
        return result

    measuring._burst = limited  # type: ignore[method-assign]
    measurement = measuring.measure(SUBJECT)
    assert (len(measurement.cold), measurement.throttled) == (4, 7)
    assert "7 invocations were throttled" in report.markdown([measurement], {}, "", "plot.svg")


def test_a_failed_function_is_reported_clearly() -> None:
    with pytest.raises(BenchError, match="hair-type, x86_64, 1769 MiB: the function answered"):
        bench(FakeLambda(cold=1, result=b'{"errorMessage": "boom"}'))


def test_lines_that_never_arrive_are_reported_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_LOG_SECONDS", 0.0)
    functions = FakeLambda(cold=1, tail=False)
    with pytest.raises(BenchError, match="REPORT lines did not arrive"):
        bench(functions, FakeLogs(functions, delay=100))


def test_a_restore_counts_as_a_start() -> None:
    line = (
        "REPORT RequestId: r1\tDuration: 9.00 ms\tBilled Duration: 200 ms\tMemory Size: 512 MB\t"
        "Max Memory Used: 80 MB\tRestore Duration: 480.00 ms\tBilled Restore Duration: 190 ms"
    )
    match = measure._REPORT.search(line)
    assert match
    assert measure._report(match) == Report(9.0, 200.0, 80, 480.0)


def test_the_price_is_lambdas_list_price() -> None:
    measurement = Measurement(SUBJECT, 0.0, warm=[Report(9.5, 10.0, 80, None)] * 2)
    # 1769/1024 GB x 10 ms x a million at 0.0000166667 a GB-second, and 0.20 for the requests.
    assert measurement.usd_per_million == pytest.approx(1769 / 1024 * 10_000 * 0.0000166667 + 0.20)


def test_every_combination_has_its_own_function_and_a_bounded_cost() -> None:
    subjects = combinations(
        "loupe-bench-1", models=["a"], memories=[512, 1769], architectures=["x86_64", "arm64"], snap_start=True
    )
    assert len({subject.function for subject in subjects}) == len(subjects) == 8
    assert 0 < cost_usd(subjects[:1], 10) < cost_usd(subjects, 10) < 1
    full = combinations(
        "b", models=["a"], memories=[512, 1024, 1769, 3008], architectures=["x86_64", "arm64"], snap_start=True
    )
    assert cost_usd(full, 10) < 1


def test_the_page_has_a_row_for_each_subject_and_a_plot(tmp_path: Path) -> None:
    measurement = Measurement(SUBJECT, 900.0, [Report(10, 11, 90, 250.0)], [Report(9.5, 10, 80, None)] * 3)
    page = report.markdown([measurement], {"date": "today"}, "a note", "plot.svg")
    assert "**a note**" in page
    assert "| hair-type | x86_64 | 1769 | no | 900 | 260 (1) | 9.5 | 9.5 (3) | 10 |" in page
    report.draw([measurement], tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--env", "nowhere"], "no environment 'nowhere'"),
        (["--env", "dev", "--architecture", "mips"], "must be x86_64 or arm64"),
        (["--env", "dev", "--max-usd", "0.001"], "above --max-usd"),
        (["--env", "local", "--snap-start"], "the local cloud has no snapshots"),
        (["--env", "dev", "--model", "no-such-model"], "cannot be read"),
    ],
)
def test_wrong_arguments_are_reported_clearly(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(command.app, arguments)
    assert result.exit_code == 1
    assert sentence in result.output


@pytest.fixture
def aws_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> targets.AwsBench:
    """The target on AWS with credentials that pass, and a CDK command line that cannot deploy or delete anything."""
    program = tmp_path / "cdk"
    program.write_text('#!/bin/sh\nfor a in "$@"; do case $a in deploy|destroy) echo "no $a";; esac; done\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(cdk_program, "CDK", program)
    bench = targets.AwsBench(tmp_path / "cdk.log")
    monkeypatch.setattr(bench, "client", lambda _: SimpleNamespace(get_caller_identity=dict))
    return bench


def test_a_failed_deployment_is_not_hidden_by_the_failed_deletion(aws_bench: targets.AwsBench) -> None:
    reported: list[str] = []
    with pytest.raises(BenchError, match=r"(?s)cdk deploy failed.*no deploy"), aws_bench.deployed([], reported.append):
        pass
    assert "no destroy" in reported[-1]


def test_a_failed_deletion_after_a_complete_run_is_the_error(
    aws_bench: targets.AwsBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    cdk = aws_bench._cdk
    monkeypatch.setattr(aws_bench, "_cdk", lambda a, s: None if a[0] == "deploy" else cdk(a, s))
    with pytest.raises(BenchError, match="cdk destroy failed"), aws_bench.deployed([], lambda _: None):
        pass


def test_nothing_is_deployed_or_deleted_without_credentials(
    aws_bench: targets.AwsBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise NoCredentialsError

    monkeypatch.setattr(aws_bench, "client", lambda _: SimpleNamespace(get_caller_identity=missing))
    reported: list[str] = []
    with pytest.raises(NoCredentialsError), aws_bench.deployed([], reported.append):
        pass
    assert reported == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 fma\n", "AMD EPYC (avx2 fma)"),
        ("CPU part\t: 0xd40\nFeatures\t: fp asimd asimddp i8mm\n", "0xd40 (asimd asimddp i8mm)"),
        ("", "unknown (no flags known)"),
        ("model name : " + "x" * 5000, "x" * 80 + " (no flags known)"),
    ],
)
def test_the_processor_is_described(content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(content)
    assert describe(tmp_path / "cpuinfo") == expected
    assert describe(tmp_path / "nothing") == "unknown"
