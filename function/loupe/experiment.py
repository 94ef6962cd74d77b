"""Experiments: which arm, and so which model, a caller gets.

Arms are chosen by weighted rendezvous hashing. An arm's score for a key is ``-weight / ln(u)``, where ``u`` is a hash
of experiment, arm and key between 0 and 1; the highest score wins. ``-ln(u)`` is exponentially distributed, so each
arm wins its weight's share of the keys (Schindelhauer and Schomaker, 'Weighted distributed hash tables', SPAA 2005,
'logarithmic method'). An arm's score depends on no other arm: a changed weight moves keys only from or to that arm, and
a new arm takes keys from the others without moving any between them. The experiment's name is the key of the hash, so
that two experiments split the same callers independently.

A deployment without an experiment does not import this module.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ARMS = 10
MAX_WEIGHT = 10_000
# Text of a parameter with weights: ten arms with names of 32 characters take 440.
MAX_WEIGHTS_BYTES = 1024
REFRESH_SECONDS_RANGE = (30, 3600)
STICKY_KEYS = ("header", "api-key", "token-subject", "source-address", "image-content")
# Hash bits of a number in (0, 1): half a unit can still be added to 52 bits without rounding to 1.
_BITS = 52


class Arm(NamedTuple):
    """One arm: the model that its callers get, and its share of them relative to the other weights."""

    name: str
    model: str
    weight: int


class ExperimentRules(NamedTuple):
    """An experiment as deployed.

    Attributes
    ----------
    key
        One of `STICKY_KEYS`.
    header
        Name in lower case of the header that is the key, if it is one.
    override
        Whether a request may name its arm.
    parameter
        SSM parameter with the weights; '' if they change by deployment only.
    refresh_seconds
        Shortest time between two reads of the parameter by one execution environment.
    """

    name: str
    arms: tuple[Arm, ...]
    key: str
    header: str = ""
    override: bool = False
    parameter: str = ""
    refresh_seconds: int = 60

    @property
    def weights(self) -> dict[str, int]:
        """Weights of the deployment, by arm."""
        return {arm.name: arm.weight for arm in self.arms}

    def model_of(self, arm: str) -> str:
        """Return the model of an arm."""
        return next(item.model for item in self.arms if item.name == arm)


class Assignment(NamedTuple):
    """The arm of one request. ``by`` is what decided: the kind of key, ``body`` of a batch, or ``override``."""

    experiment: str
    arm: str
    by: str

    @property
    def text(self) -> str:
        """The value of the response's header ``X-Experiment``: a dictionary of one token (RFC 9651)."""
        return f"{self.experiment}={self.arm}"


class WeightsError(ValueError):
    """Weights that are not those of the experiment's arms; the message says what is wrong."""


def choose(experiment: str, weights: Mapping[str, int], key: bytes) -> str:
    """Return the arm of a key. Only the weights' ratios matter; an arm of weight 0 gets no key.

    Parameters
    ----------
    weights
        Weight by arm, at least one above 0.
    key
        Of any length; a caller's identity, or the image.
    """
    # SHA-256 first: with the processor's instructions it reads a large image four times as fast as BLAKE2b.
    digest = hashlib.blake2b(hashlib.sha256(key).digest(), digest_size=32, key=experiment.encode()).digest()
    # Equal scores are settled by name, so that the order of the arms does not matter.
    return max((-weight / math.log(_unit(arm, digest)), arm) for arm, weight in weights.items() if weight > 0)[1]


def parse_weights(text: str, arms: Sequence[str]) -> dict[str, int]:
    """Parse the JSON of a parameter, such as ``{"a": 90, "b": 10}``, in the order of the arms.

    Raises
    ------
    WeightsError
        If it does not have a whole number from 0 to `MAX_WEIGHT` for each arm and no other, or all are 0.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_WEIGHTS_BYTES:
        raise WeightsError(f"The weights are longer than {MAX_WEIGHTS_BYTES} bytes.")
    try:
        pairs = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise WeightsError("The weights are not JSON.") from None
    # Only an object is a tuple; a list stays one.
    if not isinstance(pairs, tuple) or sorted(name for name, _ in pairs) != sorted(arms):
        raise WeightsError(f"The weights must be an object with each arm once: {', '.join(arms)}.")
    weights = dict(pairs)
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= MAX_WEIGHT:
            raise WeightsError(f"The weight of {name} must be a whole number from 0 to {MAX_WEIGHT}.")
    if not any(weights.values()):
        raise WeightsError("One weight at least must be above 0.")
    return {arm: weights[arm] for arm in arms}


def _unit(arm: str, digest: bytes) -> float:
    """Return a hash as a number above 0 and below 1."""
    value = hashlib.blake2b(arm.encode(), digest_size=8, key=digest).digest()
    return math.ldexp((int.from_bytes(value, "big") >> (64 - _BITS)) + 0.5, -_BITS)
