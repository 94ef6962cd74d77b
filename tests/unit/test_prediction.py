"""Model output to labels and probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loupe.card import OutputSpec
from loupe.errors import ModelFailed
from loupe.prediction import read, sigmoid, softmax

TWO = ("curly", "straight")
THREE = ("a", "b", "c")


def test_logit_is_that_of_the_second_label() -> None:
    """The value of the course: 0.09 is barely 'straight', and not almost surely 'curly'."""
    prediction = read([0.09], OutputSpec("output", "logit", TWO))
    assert prediction.label == "straight"
    assert prediction.probability == pytest.approx(1 / (1 + math.exp(-0.09)))
    assert dict(prediction.scores)["curly"] == pytest.approx(1 - prediction.probability)
    assert read([-3.0], OutputSpec("output", "logit", TWO)).label == "curly"


def test_probability_is_not_transformed() -> None:
    prediction = read([0.25], OutputSpec("output", "probability", TWO))
    assert (prediction.label, prediction.probability) == ("curly", 0.75)


def test_logits_pass_through_a_softmax() -> None:
    prediction = read([1.0, 3.0, 2.0], OutputSpec("output", "logits", THREE))
    total = math.exp(1) + math.exp(2) + math.exp(3)
    assert [label for label, _ in prediction.scores] == ["b", "c", "a"]
    assert prediction.probability == pytest.approx(math.exp(3) / total)


def test_probabilities_keep_their_labels() -> None:
    prediction = read([0.1, 0.2, 0.7], OutputSpec("output", "probabilities", THREE))
    assert prediction.scores == (("c", 0.7), ("b", 0.2), ("a", 0.1))
    assert prediction.top(2) == {"c": 0.7, "b": 0.2}
    assert list(prediction.top(None)) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("kind", "row"),
    [("logit", [2.0]), ("logits", [0.0, 2.0]), ("multilabel-logits", [-2.0, 2.0])],
)
def test_temperature_divides_the_logits(kind: str, row: list[float]) -> None:
    thresholds = (0.5, 0.5) if kind == "multilabel-logits" else ()
    spec = OutputSpec("output", kind, TWO, temperature=4.0, thresholds=thresholds)  # type: ignore[arg-type]
    assert read(row, spec).probability == pytest.approx(sigmoid(0.5))


@pytest.mark.parametrize("kind", ["probability", "probabilities"])
def test_value_outside_0_to_1_is_not_reported_as_a_probability(kind: str) -> None:
    for value in (1.2, -0.1):
        row = [value] if kind == "probability" else [value, 0.5]
        with pytest.raises(ModelFailed, match="probability"):
            read(row, OutputSpec("output", kind, TWO))  # type: ignore[arg-type]


def test_rounding_of_half_precision_is_tolerated() -> None:
    assert read([1.0004], OutputSpec("output", "probability", TWO)).probability == 1.0
    assert read([-0.0004], OutputSpec("output", "probability", TWO)).probability == 1.0


@pytest.mark.parametrize("row", [[], [1.0, 2.0], [[1.0]] * 3])
def test_wrong_output_count_is_model_failed(row: list[float]) -> None:
    with pytest.raises(ModelFailed, match="numbers"):
        read(np.ravel(row), OutputSpec("output", "logit", TWO))


def test_ties_go_to_the_earlier_label() -> None:
    assert read([0.0], OutputSpec("output", "logit", TWO)).label == "curly"
    assert read([0.0] * 3, OutputSpec("output", "logits", THREE)).label == "a"


@given(st.floats(-1e6, 1e6))
def test_sigmoid_never_overflows(value: float) -> None:
    assert 0 <= sigmoid(value) <= 1
    assert sigmoid(value) + sigmoid(-value) == pytest.approx(1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_softmax_is_a_distribution(values: list[float]) -> None:
    probabilities = softmax(values)
    assert math.fsum(probabilities) == pytest.approx(1)
    assert all(0 <= value <= 1 for value in probabilities)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3))
def test_scores_are_complete_and_sorted(row: list[float]) -> None:
    prediction = read(np.asarray(row, np.float32), OutputSpec("output", "logits", THREE))
    values = [value for _, value in prediction.scores]
    assert values == sorted(values, reverse=True)
    assert {label for label, _ in prediction.scores} == set(THREE)
    assert (prediction.label, prediction.probability) == prediction.scores[0]
