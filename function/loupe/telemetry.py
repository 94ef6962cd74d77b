"""What is told about a request: one structured log line and CloudWatch metrics in the embedded metric format (EMF).

The entry point observes with this; the core does not know it. Metric names and dimensions stand here alone, and the
alarms are tested against them. No picture bytes, no keys, and of a URL only its host are logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.errors import Problem
    from loupe.prediction import Prediction
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
    """What became of one request; filled in while it is served."""

    request_id: str
    trigger: str
    route: str = ""
    source: Source | None = None
    prediction: Prediction | None = None
    problem: Problem | None = None
    stages: Stages = field(default_factory=Stages)


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
        if seen.problem is not None:
            fields["code"] = seen.problem.code
            fields["status"] = seen.problem.status
            fields["detail"] = seen.problem.detail
        failed = seen.problem is not None and seen.problem.status >= 500
        if failed:
            self._logger.error("request", extra=fields, exc_info=seen.problem)
        else:
            self._logger.info("request", extra=fields)
        if seen.route == "classify":
            self._emit(seen, cold=cold)

    def _emit(self, seen: Observation, *, cold: bool) -> None:
        values: dict[str, tuple[float, MetricUnit]] = {
            "Requests": (1, MetricUnit.Count),
            "TotalLatency": (seen.stages.total(), MetricUnit.Milliseconds),
        }
        if cold:
            values["ColdStart"] = (1, MetricUnit.Count)
        for stage, metric in STAGE_METRICS.items():
            if stage in seen.stages.milliseconds:
                values[metric] = (seen.stages.milliseconds[stage], MetricUnit.Milliseconds)
        if seen.prediction is not None:
            values["Confidence"] = (seen.prediction.probability, MetricUnit.NoUnit)
        self._blob(values, {})
        if seen.prediction is not None:
            self._blob({"Predictions": (1, MetricUnit.Count)}, {"Label": seen.prediction.label})
        if seen.problem is not None:
            self._blob({"Problems": (1, MetricUnit.Count)}, {"Code": seen.problem.code})

    def _blob(self, values: Mapping[str, tuple[float, MetricUnit]], dimensions: dict[str, str]) -> None:
        emf = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, default_dimensions={**self._dimensions, **dimensions})
        for name, (value, unit) in values.items():
            emf.add_metric(name=name, unit=unit, value=round(value, 4))
        emf.flush_metrics()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
