"""What is told about a request: one structured log line and CloudWatch metrics in the embedded metric format (EMF).

The entry point observes with this; the core does not know it. Metric names and dimensions stand here alone, and the
alarms are tested against them. No picture bytes, no keys, and of a URL only its host are logged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from loupe.errors import Problem
from loupe.prediction import Prediction
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loupe.request import Source

NAMESPACE = "Loupe"
# Stages of the core -> metric of each, in ms.
STAGE_METRICS = {
    "source": "SourceLatency",
    "decode": "DecodeLatency",
    "tensor": "TensorLatency",
    "model": "ModelLatency",
}


@dataclass
class Observation:
    """What became of one request; filled in while it is served. ``items`` are a batch's outcomes."""

    request_id: str
    trigger: str
    route: str = ""
    source: Source | None = None
    prediction: Prediction | None = None
    problem: Problem | None = None
    items: list[Prediction | Problem] = field(default_factory=list)
    stages: Stages = field(default_factory=Stages)

    @property
    def predictions(self) -> list[Prediction]:
        """All that was predicted."""
        return [each for each in (self.prediction, *self.items) if isinstance(each, Prediction)]

    @property
    def problems(self) -> list[Problem]:
        """All that went wrong: the request itself, or items of it."""
        return [each for each in (self.problem, *self.items) if isinstance(each, Problem)]


class Telemetry:
    """Logger and metrics of one execution environment."""

    def __init__(self, environment: str, model: str, log_level: str) -> None:
        self._dimensions = {"Environment": environment, "Model": model}
        self._logger = Logger(service="loupe", level=log_level, environment=environment, model=model)
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
        fault = next((problem for problem in seen.problems if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR), None)
        if fault is not None:
            self._logger.error("request", extra=fields, exc_info=fault)
        else:
            self._logger.info("request", extra=fields)
        if seen.route in ("classify", "batch"):
            self._emit(seen, cold=cold)

    def _emit(self, seen: Observation, *, cold: bool) -> None:
        # A batch counts each of its items as a request, so that rates by code or label stay rates of pictures.
        values: dict[str, tuple[Sequence[float], MetricUnit]] = {
            "Requests": ([max(1, len(seen.items))], MetricUnit.Count),
            ("BatchLatency" if seen.route == "batch" else "TotalLatency"): (
                [seen.stages.total()],
                MetricUnit.Milliseconds,
            ),
        }
        if cold:
            values["ColdStart"] = ([1], MetricUnit.Count)
        if seen.route == "classify":
            for stage, metric in STAGE_METRICS.items():
                if stage in seen.stages.milliseconds:
                    values[metric] = ([seen.stages.milliseconds[stage]], MetricUnit.Milliseconds)
        if seen.predictions:
            # One blob takes 100 values of a metric at most (EMF specification); of larger batches the first speak.
            confidences = [prediction.probability for prediction in seen.predictions]
            values["Confidence"] = (confidences[:100], MetricUnit.NoUnit)
        self._blob(values, {})
        for label, count in Counter(prediction.label for prediction in seen.predictions).items():
            self._blob({"Predictions": ([count], MetricUnit.Count)}, {"Label": label})
        for code, count in Counter(problem.code for problem in seen.problems).items():
            self._blob({"Problems": ([count], MetricUnit.Count)}, {"Code": code})

    def _blob(self, values: Mapping[str, tuple[Sequence[float], MetricUnit]], dimensions: dict[str, str]) -> None:
        emf = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, default_dimensions={**self._dimensions, **dimensions})
        for name, (numbers, unit) in values.items():
            for number in numbers:
                emf.add_metric(name=name, unit=unit, value=round(number, 4))
        emf.flush_metrics()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
