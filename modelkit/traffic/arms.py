"""Figures of one arm, added up line by line in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from loupe.errors import all_problems
from loupe.telemetry import MAX_LOGGED_NAMES, is_server_fault

from modelkit.traffic.inference import Share
from modelkit.traffic.sketch import QuantileSketch

if TYPE_CHECKING:
    from modelkit.traffic.labels import Truth
    from modelkit.traffic.metric_lines import Metrics
    from modelkit.traffic.records import Request

# Codes of problems that no client can fix.
SERVER_FAULTS = frozenset(kind.code for kind in all_problems() if is_server_fault(kind))
CONFIDENCE_BINS = 20
# Different names of one kind that are counted; the rest is one row.
MAX_NAMES = 1000
OTHERS = "(others)"
# Metric of `loupe.telemetry` -> stage.
_STAGES = {"SourceLatency": "source", "DecodeLatency": "decode", "TensorLatency": "tensor", "ModelLatency": "model"}


class Arm:
    """Counts and latencies of one arm.

    Attributes
    ----------
    images
        Of all requests; a batch has several.
    problems
        Images that failed, by code.
    latency, batch_latency
        Milliseconds of requests of one image that were answered, and of batches.
    labelled, right
        Answers that a label is known for, and those that were right.
    unanswered
        Requests with a known label that got a problem.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests = self.images = self.batches = self.cold_starts = self.cache_hits = self.faults = 0
        self.first: float | None = None
        self.last: float | None = None
        self.latency, self.batch_latency = QuantileSketch(), QuantileSketch()
        self.stages: dict[str, QuantileSketch] = {}
        self.problems: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.assigned_by: Counter[str] = Counter()
        self.confidence = [0] * CONFIDENCE_BINS
        self._confidence_sum = 0.0
        self.labelled = self.right = self.unanswered = 0
        # Answers and right ones, of each unit and of requests without a unit.
        self._units: dict[str, tuple[int, int]] = {}
        self._alone = (0, 0)

    @property
    def mean_confidence(self) -> float | None:
        """Mean probability of the label that was answered; None without answers."""
        count = sum(self.confidence)
        return self._confidence_sum / count if count else None

    @property
    def faulty(self) -> Share:
        """Images that failed for a reason that no client can fix."""
        return Share(self.faults, self.images)

    @property
    def accuracy(self) -> Share:
        """Share of correct predictions, with the effective number of independent ones.

        Requests of one unit are correlated. The count is divided by the design effect, the ratio of the variance
        between units (Cochran 1977, 'Sampling techniques', 6.4, ratio estimator) to that of independent predictions;
        Korn and Graubard 1998 put the effective count into intervals of a share.
        """
        alone, alone_right = self._alone
        units = len(self._units) + alone
        if not self._units or self.labelled == units:
            return Share(self.right, self.labelled)
        share = self.right / self.labelled
        if share in (0.0, 1.0) or units < 2:
            return Share(share * units, units)
        spread = sum((right - share * answers) ** 2 for answers, right in self._units.values())
        spread += alone_right * (1 - share) ** 2 + (alone - alone_right) * share**2
        independent = share * (1 - share) * self.labelled
        design_effect = max(1.0, spread * units / (units - 1) / independent)
        return Share(self.right / design_effect, self.labelled / design_effect)

    @property
    def independent_units(self) -> int:
        """Units of the labelled requests; each request without a unit is one."""
        return len(self._units) + self._alone[0]

    @property
    def design_effect(self) -> float:
        """How many labelled answers count as one; 1 where they are independent."""
        effective = self.accuracy.total
        return self.labelled / effective if effective else 1.0

    def add(self, request: Request) -> None:
        """Add a request."""
        self.requests += 1
        self.images += max(1, request.items)
        self._extend_period(request.time)
        count(self.models, request.model.text)
        if request.arm_by:
            count(self.assigned_by, request.arm_by)
        self.cold_starts += request.cold_start
        self.cache_hits += request.cache == "hit"
        for code, number in request.codes.items():
            count(self.problems, code, number)
            self.faults += number if code in SERVER_FAULTS else 0
        if request.items:
            self.batches += 1
            self.batch_latency.add(request.milliseconds)
            for label, number in request.item_labels.items():
                count(self.labels, label, number)
        elif request.label is not None:
            self.latency.add(request.milliseconds)
            for stage, milliseconds in request.stages.items():
                self._stage(stage, milliseconds)
            for label in (request.label,) if request.labels is None else request.labels:
                count(self.labels, label)
            self._confident(request.probability)

    def add_truth(self, request: Request, truth: Truth) -> None:
        """Add what was right for a request of one image."""
        if request.label is None:
            self.unanswered += 1
            return
        if request.labels is not None and len(request.labels) >= MAX_LOGGED_NAMES:
            # The log line may have been cut.
            return
        right = truth.is_right(request.label, request.labels)
        self.labelled += 1
        self.right += right
        if truth.unit:
            answers, hits = self._units.get(truth.unit, (0, 0))
            self._units[truth.unit] = (answers + 1, hits + right)
        else:
            self._alone = (self._alone[0] + 1, self._alone[1] + right)

    def add_metrics(self, metrics: Metrics) -> None:
        """Add values of the embedded metric format, one for each request or image."""
        self._extend_period(metrics.time)
        for name, values in metrics.values.items():
            if name == "Requests":
                self.requests += len(values)
                self.images += round(sum(values))
            elif name == "ServerFaults":
                self.faults += round(sum(values))
            elif name == "ColdStart":
                self.cold_starts += round(sum(values))
            elif name == "Problems":
                count(self.problems, metrics.dimensions.get("Code", OTHERS), round(sum(values)))
            elif name == "Predictions":
                count(self.labels, metrics.dimensions.get("Label", OTHERS), round(sum(values)))
            else:
                for value in values:
                    self._add_value(name, value)

    def _add_value(self, name: str, value: float) -> None:
        if name == "TotalLatency":
            self.latency.add(value)
        elif name == "BatchLatency":
            self.batches += 1
            self.batch_latency.add(value)
        elif name == "Confidence":
            self._confident(value)
        elif name in _STAGES:
            self._stage(_STAGES[name], value)

    def _confident(self, probability: float | None) -> None:
        if probability is not None and 0 <= probability <= 1:
            self.confidence[min(CONFIDENCE_BINS - 1, int(probability * CONFIDENCE_BINS))] += 1
            self._confidence_sum += probability

    def _stage(self, name: str, milliseconds: float) -> None:
        if name not in self.stages and len(self.stages) >= MAX_NAMES // 50:
            return
        self.stages.setdefault(name, QuantileSketch()).add(milliseconds)

    def _extend_period(self, time: float | None) -> None:
        # Lines of several environments are in no order.
        if time is not None:
            self.first = time if self.first is None else min(self.first, time)
            self.last = time if self.last is None else max(self.last, time)

    def to_json(self) -> dict[str, Any]:
        """Return every figure as JSON's types; milliseconds and shares of 1."""
        return {
            "name": self.name,
            "requests": self.requests,
            "images": self.images,
            "batches": self.batches,
            "first": self.first,
            "last": self.last,
            "models": dict(self.models.most_common()),
            "assigned_by": dict(self.assigned_by.most_common()),
            "cold_starts": self.cold_starts,
            "cache_hits": self.cache_hits,
            "latency_ms": quantiles(self.latency),
            "batch_latency_ms": quantiles(self.batch_latency),
            "stages_ms": {name: quantiles(sketch) for name, sketch in sorted(self.stages.items())},
            "problems": dict(self.problems.most_common()),
            "server_faults": self.faults,
            "labels": dict(self.labels.most_common()),
            "confidence": {"mean": _rounded(self.mean_confidence), "histogram": self.confidence},
            "labelled": self.labelled,
            "right": self.right,
            "labelled_without_answer": self.unanswered,
            "accuracy": _rounded(self.right / self.labelled) if self.labelled else None,
            "design_effect": _rounded(self.design_effect),
        }


def quantiles(sketch: QuantileSketch) -> dict[str, float | int | None]:
    """Return count, p50, p95 and p99."""
    values = {f"p{share:.0f}": _rounded(sketch.quantile(share / 100)) for share in (50, 95, 99)}
    return {"count": sketch.count, **values}


def count(counter: Counter[str], name: str, number: int = 1) -> None:
    """Count a name; what comes after `MAX_NAMES` different ones counts as `OTHERS`."""
    counter[name if name in counter or len(counter) < MAX_NAMES else OTHERS] += number


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
