"""What is told about a request: one structured log line and CloudWatch metrics in the embedded metric format (EMF).

The entry point observes with this; the core does not know it. Metric names and dimensions stand here alone, and the
alarms are tested against them. No picture bytes, no keys, and of a URL only its host are logged;
what an exception says goes through ``loupe.redaction``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loupe.errors import Problem
from loupe.prediction import Prediction
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from loupe.request import Source

    # Values and unit by metric, and the dimensions that they have beside those of all.
    _Group: TypeAlias = tuple[Mapping[str, tuple[Sequence[float], str]], Mapping[str, str]]

NAMESPACE = "Loupe"
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
# Stages of the core -> metric of each, in ms.
STAGE_METRICS = {
    "source": "SourceLatency",
    "decode": "DecodeLatency",
    "tensor": "TensorLatency",
    "model": "ModelLatency",
}
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}
# One blob takes 100 values of a metric at most (embedded metric format specification).
_MOST_VALUES = 100


class Observation:
    """What became of one request; filled in while it is served. ``items`` are a batch's outcomes."""

    def __init__(self, request_id: str, trigger: str, route: str = "") -> None:
        self.request_id, self.trigger, self.route = request_id, trigger, route
        self.source: Source | None = None
        self.prediction: Prediction | None = None
        self.problem: Problem | None = None
        self.items: list[Prediction | Problem] = []
        self.stages = Stages()

    @property
    def predictions(self) -> list[Prediction]:
        """All that was predicted."""
        return [each for each in (self.prediction, *self.items) if isinstance(each, Prediction)]

    @property
    def problems(self) -> list[Problem]:
        """All that went wrong: the request itself, or items of it."""
        return [each for each in (self.problem, *self.items) if isinstance(each, Problem)]


class Telemetry:
    """Log and metrics of one execution environment: JSON lines on stdout, which Lambda gives to CloudWatch Logs."""

    def __init__(self, environment: str, model: str, log_level: str) -> None:
        self._dimensions = {"Environment": environment, "Model": model}
        self._about = {"service": "loupe", "environment": environment, "model": model}
        self._least = _LEVELS[log_level]
        self._cold = True

    def report(self, seen: Observation) -> None:
        """Log the request; emit metrics if it asked for a classification."""
        cold, self._cold = self._cold, False
        fields: dict[str, Any] = {
            "request_id": seen.request_id,
            "trigger": seen.trigger,
            "route": seen.route,
            "cold_start": cold,
            "duration_ms": round(seen.stages.total(), 2),
            "stages_ms": {name: round(value, 2) for name, value in seen.stages.milliseconds.items()},
        }
        if seen.source is not None:
            fields["source"] = type(seen.source).__name__.lower()
            if url := getattr(seen.source, "url", None):
                fields["url_host"] = _host(url)
        if seen.prediction is not None:
            fields["label"] = seen.prediction.label
            fields["probability"] = round(seen.prediction.probability, 6)
        if seen.items:
            fields["items"] = len(seen.items)
            fields["item_codes"] = dict(Counter(problem.code for problem in seen.problems))
        if seen.problem is not None:
            fields["code"] = seen.problem.code
            fields["status"] = seen.problem.status
            fields["detail"] = seen.problem.detail
        # Our own faults go to the log with their trace; being too late or S3 being slow is no fault of the code.
        fault = next((problem for problem in seen.problems if problem.status == 500), None)
        if fault is not None:
            self._log("ERROR", {**fields, **_trace(fault)})
        else:
            self._log("INFO", fields)
        if seen.route in ("classify", "batch"):
            self._emit(seen, cold=cold)

    def _log(self, level: str, fields: Mapping[str, Any]) -> None:
        if _LEVELS[level] < self._least:
            return
        now = time.time()
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        line = {"level": level, "message": "request", "timestamp": f"{clock}.{int(now * 1000) % 1000:03}Z"}
        # Root=1-67891233-abcdef012345678912345678;Parent=...;Sampled=1 (X-Ray developer guide, 'Tracing header')
        if trace := os.environ.get("_X_AMZN_TRACE_ID"):
            line["xray_trace_id"] = trace.partition(";")[0].removeprefix("Root=")
        _write({**line, **self._about, **fields})

    def _emit(self, seen: Observation, *, cold: bool) -> None:
        # A batch counts each of its items as a request, so that rates by code or label stay rates of pictures.
        total = "BatchLatency" if seen.route == "batch" else "TotalLatency"
        values: dict[str, tuple[Sequence[float], str]] = {
            "Requests": ([max(1, len(seen.items))], "Count"),
            total: ([seen.stages.total()], "Milliseconds"),
        }
        if cold:
            values["ColdStart"] = ([1], "Count")
        if seen.route == "classify":
            for stage, metric in STAGE_METRICS.items():
                if stage in seen.stages.milliseconds:
                    values[metric] = ([seen.stages.milliseconds[stage]], "Milliseconds")
        if seen.predictions:
            # Of larger batches the first speak.
            confidences = [prediction.probability for prediction in seen.predictions]
            values["Confidence"] = (confidences[:_MOST_VALUES], "None")
        groups: list[_Group] = [(values, {})]
        for label, count in Counter(prediction.label for prediction in seen.predictions).items():
            groups.append(({"Predictions": ([count], "Count")}, {"Label": label}))
        for code, count in Counter(problem.code for problem in seen.problems).items():
            groups.append(({"Problems": ([count], "Count")}, {"Code": code}))
        self._blobs(groups)

    def _blobs(self, groups: Sequence[_Group]) -> None:
        """Write groups of metrics in the embedded metric format (CloudWatch user guide, 'Embedded metric format').

        As many as possible share a blob: in one, a dimension has one value and a metric one list.
        """
        while groups:
            blob: dict[str, Any] = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": []}}
            blob.update(self._dimensions)
            left = []
            for values, dimensions in groups:
                if blob.keys() & (values.keys() | dimensions.keys()):
                    left.append((values, dimensions))
                    continue
                metrics = [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()]
                blob["_aws"]["CloudWatchMetrics"].append(
                    {"Namespace": NAMESPACE, "Dimensions": [[*self._dimensions, *dimensions]], "Metrics": metrics}
                )
                blob.update(dimensions)
                for name, (numbers, _) in values.items():
                    blob[name] = [round(float(number), 4) for number in numbers]
            _write(blob)
            groups = left


def _write(line: Mapping[str, Any]) -> None:
    # In one piece, so that lines of several threads do not mix.
    sys.stdout.write(_ENCODE(line) + "\n")
    sys.stdout.flush()


def _trace(fault: BaseException) -> dict[str, str]:
    import traceback

    from loupe.redaction import redacted

    return {"exception_name": type(fault).__name__, "exception": redacted("".join(traceback.format_exception(fault)))}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
