"""Invoke a function and read Lambda's own figures of each invocation from its REPORT lines."""

from __future__ import annotations

import base64
import json
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools import prices
from tools.bench_aws.subjects import WARM_INVOCATIONS, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

ALIAS = "live"
_REPORT = re.compile(
    r"REPORT RequestId: (?P<id>\S+)\tDuration: (?P<duration>[\d.]+) ms\tBilled Duration: (?P<billed>\d+) ms\t"
    r"Memory Size: \d+ MB\tMax Memory Used: (?P<memory>\d+) MB"
    r"(?:\tInit Duration: (?P<init>[\d.]+) ms)?(?:\tRestore Duration: (?P<restore>[\d.]+) ms)?"
)
_LOG_SECONDS = 180.0
_THROTTLED = "TooManyRequestsException"


_MAX_BURSTS = 4


class BenchError(RuntimeError):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True)
class Invocation:
    """One invocation: its round trip in ms, and the tail of its log, if Lambda gave one."""

    request_id: str
    milliseconds: float
    tail: str


@dataclass(frozen=True)
class Report:
    """One REPORT line, in ms and MB. ``init`` is INIT or, with SnapStart, the restore; None where warm."""

    duration: float
    billed: float
    memory: int
    init: float | None


@dataclass
class Measurement:
    """Measurements of one subject.

    Attributes
    ----------
    first_ms
        Round trip of the first invocation after the deployment, in ms.
    cold, warm
        REPORT lines of later starts in new execution environments, and of warm requests.
    throttled
        Invocations that the account's concurrency quota rejected.
    processor
        What the function logged of its processor.
    """

    subject: Subject
    first_ms: float
    cold: list[Report] = field(default_factory=list)
    warm: list[Report] = field(default_factory=list)
    throttled: int = 0
    processor: str = ""

    @property
    def cold_ms(self) -> float | None:
        """Median of INIT (or restore) plus the request, in ms."""
        starts = [report.duration + (report.init or 0.0) for report in self.cold]
        return statistics.median(starts) if starts else None

    @property
    def warm_p50_ms(self) -> float:
        return statistics.median(report.duration for report in self.warm)

    @property
    def warm_p95_ms(self) -> float:
        return statistics.quantiles([report.duration for report in self.warm], n=20, method="inclusive")[-1]

    @property
    def billed_ms(self) -> float:
        return statistics.fmean(report.billed for report in self.warm)

    @property
    def usd_per_million(self) -> float:
        """List price of a million warm requests: duration and requests."""
        gb_seconds = 1e6 * self.billed_ms / 1000 * prices.gb(self.subject.memory_mib)
        price = prices.LAMBDA_DURATION[self.subject.architecture].first * gb_seconds
        return price + 1e6 * prices.LAMBDA_REQUESTS.first


class Bench:
    """Measures subjects with one image.

    Parameters
    ----------
    functions, logs
        boto3 clients.
    image
        The file that is classified.
    """

    def __init__(self, functions: Any, logs: Any, image: bytes, *, cold_starts: int) -> None:
        self._functions, self._logs, self._cold_starts = functions, logs, cold_starts
        self._payload = json.dumps({"image": base64.b64encode(image).decode(), "top": 1}).encode()

    def measure(self, subject: Subject) -> Measurement:
        """Measure one subject.

        Raises
        ------
        BenchError
            If an invocation fails, or its REPORT line does not arrive.
        """
        begin = time.time()
        first = self._invoke(subject)
        measurement = Measurement(subject, first.milliseconds)
        lines = first.tail.splitlines()
        # A warm environment may take several requests of a burst, so bursts grow until enough of them were cold.
        size = self._cold_starts + 1
        for _ in range(_MAX_BURSTS):
            burst, throttled = self._burst(subject, size)
            measurement.throttled += throttled
            reports, more = self._reports(subject, begin, burst)
            lines += more
            measurement.cold += [report for report in reports if report.init is not None]
            if len(measurement.cold) >= self._cold_starts or throttled:
                break
            size += len(reports)
        reports, more = self._reports(subject, begin, [self._invoke(subject) for _ in range(WARM_INVOCATIONS)])
        measurement.warm = [report for report in reports if report.init is None]
        measurement.processor = next(filter(None, map(_processor, lines + more)), "not logged")
        return measurement

    def _invoke(self, subject: Subject) -> Invocation:
        begin = time.perf_counter()
        reply = self._functions.invoke(
            FunctionName=subject.function, Qualifier=ALIAS, Payload=self._payload, LogType="Tail"
        )
        body = reply["Payload"].read()
        milliseconds = (time.perf_counter() - begin) * 1000
        if "FunctionError" in reply or b'"label"' not in body:
            raise BenchError(f"{subject.title}: the function answered {body[:300]!r}")
        tail = base64.b64decode(reply.get("LogResult", "")).decode("utf-8", "replace")
        return Invocation(json.loads(body)["request_id"], milliseconds, tail)

    def _burst(self, subject: Subject, count: int) -> tuple[list[Invocation], int]:
        """Invoke so often at once; return the invocations, and how many were throttled."""

        def attempt(_: int) -> Invocation | None:
            try:
                return self._invoke(subject)
            except ClientError as error:
                if error.response["Error"]["Code"] == _THROTTLED:
                    return None
                raise

        with ThreadPoolExecutor(count) as pool:
            invocations = list(pool.map(attempt, range(count)))
        return [invocation for invocation in invocations if invocation is not None], invocations.count(None)

    def _reports(
        self, subject: Subject, begin: float, invocations: Sequence[Invocation]
    ) -> tuple[list[Report], list[str]]:
        """Return the REPORT of each invocation, and the log lines beside them."""
        lines = [line for invocation in invocations for line in invocation.tail.splitlines()]
        requests = {invocation.request_id for invocation in invocations}
        # A tail has the last 4 KB of an invocation's log. The local cloud gives none.
        if not requests <= {match["id"] for match in map(_REPORT.search, lines) if match}:
            lines = self._read_log(subject, begin, requests)
        matches = {match["id"]: match for match in map(_REPORT.search, lines) if match}
        return [_report(matches[invocation.request_id]) for invocation in invocations], lines

    def _read_log(self, subject: Subject, begin: float, requests: set[str]) -> list[str]:
        """Wait for the REPORT line of each request; return all messages of the time."""
        group = f"/aws/lambda/{subject.function}"
        deadline = time.monotonic() + _LOG_SECONDS
        while True:
            pages = self._logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=int((begin - 60) * 1000)
            )
            lines = [event["message"] for page in pages for event in page["events"]]
            present = {match["id"] for line in lines if (match := _REPORT.search(line))}
            if requests <= present:
                return lines
            if time.monotonic() >= deadline:
                missing = len(requests - present)
                raise BenchError(f"{subject.title}: {missing} REPORT lines did not arrive in {group}")
            time.sleep(1)


def _report(match: re.Match[str]) -> Report:
    init = match["restore"] or match["init"]
    return Report(
        float(match["duration"]), float(match["billed"]), int(match["memory"]), None if init is None else float(init)
    )


def _processor(line: str) -> str:
    if '"processor"' not in line:
        return ""
    try:
        return str(json.loads(line).get("processor", ""))
    except ValueError:
        return ""


def least_cold(measurements: Sequence[Measurement]) -> int:
    """Return the smallest number of cold starts that a subject has."""
    return min((len(measurement.cold) for measurement in measurements), default=0)
