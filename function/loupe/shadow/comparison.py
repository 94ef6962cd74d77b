"""The shadow function: runs the challenger on a sample, compares both predictions, and writes log line and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from loupe.errors import Problem
from loupe.log import trace, write_log
from loupe.shadow.sample import parse_event
from loupe.stages import Stages
from loupe.telemetry import (
    SHADOW_AGREEMENT,
    SHADOW_DIFFERENCE,
    SHADOW_DISAGREEMENTS,
    SHADOW_FAILURES,
    SHADOW_LATENCY,
    write_metrics,
)
from loupe.tensor import from_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loupe.classifier import Classifier
    from loupe.prediction import ModelInfo, Prediction
    from loupe.shadow.sample import Event
    from loupe.tensor import Tensor


# Champion of an event that names none.
UNKNOWN = "unknown"


class Comparison(NamedTuple):
    """Two predictions of one image.

    Attributes
    ----------
    agrees
        Whether both give the image the same label (multilabel models: the same labels).
    difference
        Largest difference of a label's probabilities, 0 to 1.
    """

    agrees: bool
    difference: float


class SampleError(ValueError):
    """The event, its pixels or its labels do not fit the challenger."""


def compare(event: Event, prediction: Prediction) -> Comparison:
    """Compare the champion's prediction in an event with the challenger's.

    Raises
    ------
    SampleError
        If their labels differ.
    """
    scores = dict(prediction.scores)
    if scores.keys() != event.scores.keys():
        raise SampleError("The labels of champion and challenger differ.")
    difference = max(abs(probability - scores[label]) for label, probability in event.scores.items())
    return Comparison(frozenset(prediction.assigned_labels) == event.labels, difference)


class Comparer:
    """Handles the events of the shadow function; never raises.

    Parameters
    ----------
    read_object
        Reads an image of the samples' bucket by its key.
    """

    def __init__(self, classifier: Classifier, environment: str, read_object: Callable[[str], bytes]) -> None:
        self._classifier, self._environment, self._read_object = classifier, environment, read_object

    def run(self, payload: Any) -> None:
        """Compare one sample. A failure is counted, not raised: Lambda would retry it without effect."""
        stages, event = Stages(), None
        try:
            event = parse_event(payload)
            comparison = compare(event, self._classified(event, stages))
        except Problem as problem:
            self._failed(event, problem.code, problem if problem.status >= 500 else None)
        except ValueError as error:
            # Of `parse_event`, or SampleError: its text is of this project's code.
            self._failed(event, "sample_invalid", error)
        except Exception as error:  # noqa: BLE001 (an entry point)
            self._failed(event, type(error).__name__, error)
        else:
            self._compared(event, comparison, stages)

    def _classified(self, event: Event, stages: Stages) -> Prediction:
        if isinstance(event.image, np.ndarray):
            return self._of_pixels(event.image, stages)
        if event.image is None:
            with stages("source"):
                data = self._read_object(event.key)
        else:
            data = event.image
        return self._classifier.classify(data, stages)

    def _of_pixels(self, pixels: Tensor, stages: Stages) -> Prediction:
        spec = self._classifier.card.input
        expected = (spec.height, spec.width) if spec.color == "L" else (spec.height, spec.width, spec.channels)
        if pixels.shape != expected:
            raise SampleError(f"The pixels are {pixels.shape}, and the challenger takes {expected}.")
        with stages("tensor"):
            tensor = from_pixels(pixels, spec)
        return self._classifier.predict(tensor, stages)

    def _dimensions(self, champion: str) -> Mapping[str, str]:
        return {"Environment": self._environment, "Champion": champion, "Challenger": self._classifier.info.name}

    def _compared(self, event: Event, comparison: Comparison, stages: Stages) -> None:
        milliseconds = stages.milliseconds["model"]
        fields = {
            "champion": _named(event.model),
            "challenger": _named(self._classifier.info),
            "agreement": int(comparison.agrees),
            "difference": round(comparison.difference, 6),
            "champion_model_ms": None if event.model_ms is None else round(event.model_ms, 2),
            "stages_ms": {name: round(value, 2) for name, value in stages.milliseconds.items()},
        }
        write_log("loupe-shadow", self._environment, "INFO", "comparison", fields)
        values: dict[str, tuple[Sequence[float], str]] = {
            SHADOW_AGREEMENT: ([int(comparison.agrees)], "Count"),
            SHADOW_DISAGREEMENTS: ([int(not comparison.agrees)], "Count"),
            SHADOW_DIFFERENCE: ([comparison.difference], "None"),
            SHADOW_FAILURES: ([0], "Count"),
            SHADOW_LATENCY: ([milliseconds], "Milliseconds"),
        }
        write_metrics([(values, self._dimensions(event.model.name))])

    def _failed(self, event: Event | None, code: str, fault: BaseException | None) -> None:
        champion = UNKNOWN if event is None else event.model.name
        fields: dict[str, Any] = {"champion": champion, "challenger": _named(self._classifier.info), "code": code}
        if fault is not None:
            fields["exception"] = trace(fault)
        write_log("loupe-shadow", self._environment, "ERROR", "comparison failed", fields)
        write_metrics([({SHADOW_FAILURES: ([1], "Count")}, self._dimensions(champion))])


def _named(model: ModelInfo) -> str:
    return f"{model.name} {model.version} {model.variant}"
