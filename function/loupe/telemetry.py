"""Per-request log line and CloudWatch metrics in the embedded metric format (EMF).

Entry points observe requests with this; the core does not import it. Metric names and dimensions are defined here only,
and the alarms are tested against them. The model is taken from each prediction, so several models can be compared.

Logged values come from a closed set (routes, codes, labels of the card, names in this code), are numbers, or were
validated before: a URL's host once its addresses were checked, a trace id by its pattern. No text of a client is
logged, so neither its size nor its content matters here. The ``detail`` of a problem may repeat request content, so it
is omitted; ``raised_at`` names the line of code that rejected the request. The text of an unexpected exception is
redacted by ``loupe.redaction``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from loupe.errors import DeadlineExceeded, Problem
from loupe.prediction import Prediction
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from loupe.experiment import Assignment
    from loupe.prediction import ModelInfo
    from loupe.settings import MetricsRules
    from loupe.sources import Source

    # Values and unit by metric, and their dimensions.
    _Values: TypeAlias = Mapping[str, tuple[Sequence[float], str]]
    _Group: TypeAlias = tuple[_Values, Mapping[str, str]]

NAMESPACE = "Loupe"
# Requests and items that failed for a reason that no client can fix; see `is_server_fault`.
SERVER_FAULTS = "ServerFaults"
# Predictions that the cache held, and those that it did not; without a cache neither is published.
CACHE_HITS, CACHE_MISSES = "CacheHits", "CacheMisses"
# Reads of an experiment's weights that failed, with the dimension Environment alone.
WEIGHT_FAILURES = "WeightFailures"
# Of a shadow test (`loupe.shadow`), by Environment, Champion and Challenger: samples that the classifier function sent
# or dropped, and what the shadow function made of them. The difference is the largest one of a label's probabilities.
SHADOW_SENT, SHADOW_DROPPED, SHADOW_FAILURES = "ShadowSent", "ShadowDropped", "ShadowFailures"
SHADOW_AGREEMENT, SHADOW_DISAGREEMENTS = "Agreement", "Disagreements"
SHADOW_DIFFERENCE, SHADOW_LATENCY = "ProbabilityDifference", "ChallengerLatency"
# Golden cases that were sent to a version while its alias shifted to it, and those answered wrongly or not at all.
SYNTHETIC_REQUESTS, SYNTHETIC_FAILURES = "SyntheticRequests", "SyntheticFailures"
# Of the metrics by version of the function, which the rollback alarms of a release watch.
RELEASE_DIMENSIONS = ("Environment", "FunctionVersion")
# Those metrics: over all models and routes, so that a version is three series.
RELEASE_METRICS = ("Requests", SERVER_FAULTS, "TotalLatency")
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
# Stages of the core -> metric of each, in ms.
STAGE_METRICS = {
    "source": "SourceLatency",
    "decode": "DecodeLatency",
    "tensor": "TensorLatency",
    "model": "ModelLatency",
}
_COLD_START_TYPES = frozenset({"on-demand", "snap-start"})
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}
# One blob takes 100 values of a metric at most (embedded metric format specification).
_MAX_VALUES = 100
# Labels and hosts that the line of a batch names.
MAX_LOGGED_NAMES = 20
# Root=1-67891233-abcdef012345678912345678;Parent=...;Sampled=1 (X-Ray developer guide, 'Tracing header'). The client
# may choose the trace id, so only its exact form is logged.
_TRACE = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})(?:;|\Z)")


def is_server_fault(problem: Problem | type[Problem]) -> bool:
    """Whether a problem, or each one of its type, counts into ``ServerFaults``.

    That is every 5xx except ``deadline_exceeded``, which a client can cause with many slow URLs in one batch.
    """
    kind = problem if isinstance(problem, type) else type(problem)
    return kind.status >= 500 and not issubclass(kind, DeadlineExceeded)


class Observation:
    """The record of one request; filled in while it is served.

    Attributes
    ----------
    service_model : ModelInfo
        The model of the service that was called.
    hosts : list[str]
        Hosts of URLs whose addresses were checked before they were connected to.
    items : list[Prediction | Problem]
        A batch's outcomes.
    unfinished_decoders : int
        Decoders of a batch that were still running when its response was sent.
    assignment : Assignment | None
        The arm of an experiment that answers the request.
    weights_failure : str
        Why reading the experiment's weights failed, if this request read them (`loupe.weights`).
    """

    def __init__(self, request_id: str, trigger: str, service_model: ModelInfo, route: str = "") -> None:
        self.request_id, self.trigger, self.service_model, self.route = request_id, trigger, service_model, route
        self.source: Source | None = None
        self.hosts: list[str] = []
        self.prediction: Prediction | None = None
        self.problem: Problem | None = None
        self.items: list[Prediction | Problem] = []
        self.unfinished_decoders = 0
        self.assignment: Assignment | None = None
        self.weights_failure = ""
        self.stages = Stages()

    @property
    def model(self) -> ModelInfo:
        """The model that the request as a whole is logged and measured under: that of its prediction, if it has one."""
        return self.service_model if self.prediction is None else self.prediction.model

    @property
    def cache(self) -> str:
        """``hit`` if every prediction came from the cache, ``miss`` if not, ``off`` if none was looked up."""
        states = {prediction.cache for prediction in self.predictions}
        return "miss" if "miss" in states else "hit" if "hit" in states else "off"

    @property
    def predictions(self) -> list[Prediction]:
        """All predictions: the request's own, or those of its items."""
        return [outcome for outcome in (self.prediction, *self.items) if isinstance(outcome, Prediction)]

    @property
    def problems(self) -> list[Problem]:
        """All problems: the request's own, or those of its items."""
        return [outcome for outcome in (self.problem, *self.items) if isinstance(outcome, Problem)]


class Telemetry:
    """Log and metrics of one execution environment: JSON lines on stdout, which Lambda sends to CloudWatch Logs.

    Parameters
    ----------
    rules
        How many labels a model may have for ``Label`` to be a dimension, and whether version and variant are.
    initialization
        Lambda's ``AWS_LAMBDA_INITIALIZATION_TYPE``. Clients wait for a cold start with ``on-demand`` and for a restored
        snapshot with ``snap-start``; both count as a cold start.
    """

    def __init__(self, environment: str, log_level: str, rules: MetricsRules, initialization: str) -> None:
        self._environment, self._rules = environment, rules
        self._least = _LEVELS[log_level]
        self._initialization = initialization
        self._first = True

    def report(self, observation: Observation) -> None:
        """Log the request; emit metrics if it was a classification or failed with a server fault."""
        first, self._first = self._first, False
        cold = first and self._initialization in _COLD_START_TYPES
        fields: dict[str, Any] = {
            "request_id": observation.request_id,
            "trigger": observation.trigger,
            "route": observation.route,
            "cold_start": cold,
            "duration_ms": round(observation.stages.total(), 2),
            "stages_ms": {name: round(value, 2) for name, value in observation.stages.milliseconds.items()},
        }
        if first:
            fields["initialization"] = self._initialization
        if first and self._least == _LEVELS["DEBUG"]:
            from loupe.processor import describe

            fields["processor"] = describe()
        if observation.source is not None:
            fields["source"] = type(observation.source).__name__.lower()
        if observation.hosts:
            fields["url_hosts"] = sorted(set(observation.hosts))[:MAX_LOGGED_NAMES]
        if observation.prediction is not None:
            fields["label"] = observation.prediction.label
            fields["probability"] = round(observation.prediction.probability, 6)
            if observation.prediction.labels is not None:
                fields["labels"] = observation.prediction.labels[:MAX_LOGGED_NAMES]
        fields.update(_of_assignment(observation))
        problems = observation.problems
        if (cache := observation.cache) != "off":
            fields["cache"] = cache
        if observation.items:
            fields.update(_of_items(observation))
        if observation.unfinished_decoders:
            fields["left_running"] = observation.unfinished_decoders
        if observation.problem is not None:
            fields["code"] = observation.problem.code
            fields["status"] = observation.problem.status
            if observation.problem.cause:
                fields["cause"] = observation.problem.cause
            fields["raised_at"] = _raised_at(observation.problem)
        # Faults of the code are logged with their stack trace; a passed deadline or a slow S3 is none.
        fault = next((problem for problem in problems if problem.status == 500), None)
        if fault is not None:
            self._log("ERROR", observation.model, {**fields, **_trace(fault)})
        else:
            self._log("INFO", observation.model, fields)
        self._measure(observation, cold=cold)
        if "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", ""):
            from loupe import tracing

            tracing.record_request(observation, cold=cold)

    def _measure(self, observation: Observation, *, cold: bool) -> None:
        faults = sum(is_server_fault(problem) for problem in observation.problems)
        if observation.route in ("classify", "batch"):
            self._emit(observation, faults, cold=cold)
        elif faults:
            values: _Values = {SERVER_FAULTS: ([faults], "Count")}
            write_metrics([(values, self._dimensions(observation.model)), *self._of_release(values)])

    def _log(self, level: str, model: ModelInfo, fields: Mapping[str, Any]) -> None:
        if _LEVELS[level] < self._least:
            return
        now = time.time()
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        line = {"level": level, "message": "request", "timestamp": f"{clock}.{int(now * 1000) % 1000:03}Z"}
        if trace := _TRACE.match(os.environ.get("_X_AMZN_TRACE_ID", "")):
            line["xray_trace_id"] = trace[1]
        about = {"service": "loupe", "environment": self._environment, "model": model.name,
                 "model_version": model.version, "model_variant": model.variant}  # fmt: skip
        _write({**line, **about, **fields})

    def _dimensions(self, model: ModelInfo) -> dict[str, str]:
        """Return the dimensions that every metric has."""
        return {"Environment": self._environment, "Model": model.name}

    def _emit(self, observation: Observation, faults: int, *, cold: bool) -> None:
        # A batch counts each item as a request, so that rates by code or label are rates of images.
        total = "BatchLatency" if observation.route == "batch" else "TotalLatency"
        values: dict[str, tuple[Sequence[float], str]] = {
            "Requests": ([max(1, len(observation.items))], "Count"),
            SERVER_FAULTS: ([faults], "Count"),
            total: ([observation.stages.total()], "Milliseconds"),
        }
        if cold:
            values["ColdStart"] = ([1], "Count")
        if observation.route == "classify":
            for stage, metric in STAGE_METRICS.items():
                if stage in observation.stages.milliseconds:
                    values[metric] = ([observation.stages.milliseconds[stage]], "Milliseconds")
        predictions: dict[ModelInfo, list[Prediction]] = {}
        for prediction in observation.predictions:
            predictions.setdefault(prediction.model, []).append(prediction)
        model = observation.model
        own = {**values, **_of_predictions(predictions.get(model, ()))}
        groups = self._of_model(model, own) + self._of_experiment(observation, own)
        for other, of_other in predictions.items():
            if other != model:
                groups += self._of_model(other, _of_predictions(of_other))
        for other, of_other in predictions.items():
            if other.label_count <= self._rules.max_labels:
                for label, count in Counter(label for item in of_other for label in item.assigned_labels).items():
                    dimensions = {**self._dimensions(other), "Label": _dimension_value(label)}
                    groups.append(({"Predictions": ([count], "Count")}, dimensions))
        for code, count in Counter(problem.code for problem in observation.problems).items():
            groups.append(({"Problems": ([count], "Count")}, {**self._dimensions(model), "Code": code}))
        write_metrics([*groups, *self._of_release(values)])

    def _of_model(self, model: ModelInfo, values: _Values) -> list[_Group]:
        """Return a model's values, and once more by version and variant if `MetricsRules.by_version` is set."""
        dimensions = self._dimensions(model)
        groups: list[_Group] = [(values, dimensions)]
        if self._rules.by_version:
            version = {"ModelVersion": model.version, "ModelVariant": _dimension_value(model.variant)}
            groups.append((values, {**dimensions, **version}))
        return groups

    def _of_experiment(self, observation: Observation, values: _Values) -> list[_Group]:
        """Return the values once more by arm: of requests whose arm was not their own choice."""
        environment = {"Environment": self._environment}
        groups: list[_Group] = []
        if (assignment := observation.assignment) is not None and assignment.by != "override":
            groups.append((values, {**environment, "Experiment": assignment.experiment, "Arm": assignment.arm}))
        if observation.weights_failure:
            groups.append(({WEIGHT_FAILURES: ([1], "Count")}, environment))
        return groups

    def _of_release(self, values: _Values) -> list[_Group]:
        """Return what the alarms of a release watch, by version of the function, if `MetricsRules.release` is set."""
        watched = {name: values[name] for name in RELEASE_METRICS if name in values}
        if not self._rules.release or not watched:
            return []
        return [(watched, dict(zip(RELEASE_DIMENSIONS, (self._environment, self._rules.release), strict=True)))]


def _of_items(observation: Observation) -> dict[str, Any]:
    """Return the log fields of a batch's items; ``item_models`` only if another model than the service's answered."""
    problems, predictions = observation.problems, observation.predictions
    labels = Counter(label for prediction in predictions for label in prediction.assigned_labels)
    fields: dict[str, Any] = {
        "items": len(observation.items),
        "item_codes": dict(Counter(problem.code for problem in problems)),
        "item_labels": dict(labels.most_common(MAX_LOGGED_NAMES)),
    }
    if causes := Counter(problem.cause for problem in problems if problem.cause):
        fields["item_causes"] = dict(causes.most_common(MAX_LOGGED_NAMES))
    if hits := sum(prediction.cache == "hit" for prediction in predictions):
        fields["item_cache_hits"] = hits
    models = Counter(prediction.model for prediction in predictions)
    if models.keys() - {observation.model}:
        fields["item_models"] = {
            f"{model.name} {model.version} {model.variant}": count
            for model, count in models.most_common(MAX_LOGGED_NAMES)
        }
    return fields


def _of_assignment(observation: Observation) -> dict[str, str]:
    """Return the log fields of an experiment: its arm, what decided on it, and why its weights could not be read."""
    fields = {}
    if (assignment := observation.assignment) is not None:
        fields = {"experiment": assignment.experiment, "arm": assignment.arm, "arm_by": assignment.by}
    if observation.weights_failure:
        fields["weights_failure"] = observation.weights_failure
    return fields


def _of_predictions(predictions: Sequence[Prediction]) -> _Values:
    # The first of larger batches stand for all.
    confidences = [prediction.probability for prediction in predictions[:_MAX_VALUES]]
    values: dict[str, tuple[Sequence[float], str]] = {"Confidence": (confidences, "None")} if confidences else {}
    states = [prediction.cache for prediction in predictions]
    if looked_up := len(states) - states.count("off"):
        hits = states.count("hit")
        values |= {CACHE_HITS: ([hits], "Count"), CACHE_MISSES: ([looked_up - hits], "Count")}
    return values


def write_metrics(groups: Sequence[_Group]) -> None:
    """Write groups of metrics in the embedded metric format (CloudWatch user guide, 'Embedded metric format').

    As many as possible share a blob: in one, a dimension has one value and a metric one list, which several sets of
    dimensions may refer to. Each byte of a log line is charged for.
    """
    while groups:
        blob: dict[str, Any] = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": []}}
        left = []
        for values, dimensions in groups:
            rounded = {name: [round(float(number), 4) for number in numbers] for name, (numbers, _) in values.items()}
            if any(blob.get(name, value) != value for name, value in {**dimensions, **rounded}.items()):
                left.append((values, dimensions))
                continue
            metrics = [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()]
            blob["_aws"]["CloudWatchMetrics"].append(
                {"Namespace": NAMESPACE, "Dimensions": [[*dimensions]], "Metrics": metrics}
            )
            blob.update(dimensions)
            blob.update(rounded)
        _write(blob)
        groups = left


def _write(line: Mapping[str, Any]) -> None:
    # One write, so that lines of several threads do not mix.
    sys.stdout.write(_ENCODE(line) + "\n")
    sys.stdout.flush()


def _trace(fault: BaseException) -> dict[str, str]:
    from loupe.log import trace

    return {"exception_name": type(fault).__name__, "exception": trace(fault)}


def _dimension_value(text: str) -> str:
    """Return a text as CloudWatch takes dimension values: printable ASCII, not blank, no colon first, 1024 at most.

    Source: CloudWatch API reference, 'Dimension'. It drops metrics with other values silently.
    """
    return ascii(text)[1:-1].strip().lstrip(":")[:1024] or "_"


def _raised_at(problem: Problem) -> str:
    """Return ``module:line`` of the code that raised a problem, to distinguish problems of one code."""
    at = problem.__traceback__
    if at is None:
        return ""
    while at.tb_next is not None:
        at = at.tb_next
    return f"{at.tb_frame.f_globals.get('__name__', '')}:{at.tb_lineno}"
