"""A sample: one image with the champion's prediction, and its form as an event of the shadow function.

Both functions come from one image, so their forms agree; an event of an older version may still be in the queue during
a release, and is then a failed comparison.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pybase64

from loupe.card import NAME_PATTERN
from loupe.prediction import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.prediction import Prediction
    from loupe.tensor import Tensor

# Lambda API reference, Invoke: 'For asynchronous invocations, the maximum payload size is 1 MB.' Taken as 10**6 bytes.
MAX_EVENT_BYTES = 1_000_000
PREFIX = "shadow/"
# Version and variant of a model as they are logged.
_TEXT = re.compile(r"[ -~]{1,200}")


class Sample(NamedTuple):
    """A sample of the champion's images with its prediction.

    Attributes
    ----------
    image
        Bytes of the file; or, where both models take the same pixels, ``(H, W, C)`` or ``(H, W)`` uint8 of the input's
        size, in RGB.
    model_ms
        What the champion's run took, in ms; None in a batch, whose images run together.
    """

    image: bytes | Tensor
    prediction: Prediction
    model_ms: float | None

    @property
    def size(self) -> int:
        """Bytes that the image takes in memory."""
        return len(self.image) if isinstance(self.image, bytes) else int(self.image.nbytes)


class Event(NamedTuple):
    """Event of the shadow function: an image, or the key of its object in the bucket."""

    image: bytes | Tensor | None
    key: str
    model: ModelInfo
    scores: Mapping[str, float]
    labels: frozenset[str]
    model_ms: float | None


def event_of(sample: Sample, key: str = "") -> bytes:
    """Return the event as JSON: with the image, or with the key of its object."""
    prediction = sample.prediction
    event: dict[str, Any] = {
        "champion": list(prediction.model),
        "scores": {label: round(probability, 6) for label, probability in prediction.scores},
        "labels": list(prediction.assigned_labels),
        "model_ms": sample.model_ms,
    }
    if key:
        event["key"] = key
    elif isinstance(sample.image, bytes):
        event["image"] = pybase64.b64encode_as_string(sample.image)
    else:
        event["shape"] = list(sample.image.shape)
        event["pixels"] = pybase64.b64encode_as_string(np.ascontiguousarray(sample.image).tobytes())
    return json.dumps(event, separators=(",", ":")).encode()


def new_key() -> str:
    """Return the key of an object: random, so that it says nothing about the image or its sender."""
    return f"{PREFIX}{secrets.token_hex(16)}"


def parse_event(event: Any) -> Event:
    """Read an event of `event_of`.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        name, version, variant, count = event["champion"]
        image: bytes | Tensor | None = None
        if "pixels" in event:
            raw = pybase64.b64decode(event["pixels"], validate=True)
            image = np.frombuffer(raw, np.uint8).reshape([int(side) for side in event["shape"]])
        elif "image" in event:
            image = pybase64.b64decode(event["image"], validate=True)
        key = str(event.get("key", ""))
        if image is None and not key.startswith(PREFIX):
            raise ValueError("no image")
        if not NAME_PATTERN.fullmatch(name) or not _TEXT.fullmatch(f"{version} {variant}"):
            raise ValueError("no model")
        scores = {str(label): float(probability) for label, probability in event["scores"].items()}
        labels = frozenset(map(str, event["labels"]))
        milliseconds = event["model_ms"]
        return Event(
            image,
            key,
            ModelInfo(str(name), str(version), str(variant), int(count)),
            scores,
            labels,
            None if milliseconds is None else float(milliseconds),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("the event is not a sample of a shadow test") from error
