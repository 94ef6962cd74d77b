"""Figures against values from elsewhere: papers, tables, arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest

from modelkit.metrics import (
    confusion_matrix,
    expected_calibration_error,
    mcnemar,
    near_tie,
    precision_recall,
    reliability,
    wilson_interval,
)


def test_wilson_interval_is_that_of_the_tables() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81/263, 15/148, 0/20, 1/29.
    for right, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
                                    (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(0, 0) == (0, 1)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    first = np.array([True] * 8 + [False] * 2 + [True] * 90)
    second = np.array([False] * 8 + [True] * 2 + [True] * 90)
    # 2 * sum(comb(10, k) for k <= 2) / 2**10
    assert mcnemar(first, second) == {"only_first": 8, "only_second": 2, "p_value": pytest.approx(0.109375)}
    assert mcnemar(first, first)["p_value"] == 1
    many = np.arange(5000) % 2 == 0
    assert mcnemar(many, ~many)["p_value"] == 1


def test_confusion_precision_and_recall() -> None:
    matrix = confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3)
    assert matrix.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    precision, recall = precision_recall(matrix)
    assert precision[:2].tolist() == [1, 0.5]
    assert recall[:2] == pytest.approx([2 / 3, 1])
    assert np.isnan(precision[2])
    assert np.isnan(recall[2])


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.65, 0.65, 1.0])
    right = np.array([True, False, True, True, True])
    rows = reliability(confidence, right)
    assert [row["count"] for row in rows] == [2, 3]
    by_hand = (2 * abs(0.65 - 1) + 3 * abs((0.95 + 0.95 + 1) / 3 - 2 / 3)) / 5
    assert expected_calibration_error(rows) == pytest.approx(by_hand)


def test_near_ties_of_two_and_of_more_labels() -> None:
    two = np.array([[0.48, 0.52], [0.4, 0.6]])
    assert near_tie(two, 0.03).tolist() == [True, False]
    three = np.array([[0.4, 0.38, 0.22], [0.5, 0.3, 0.2]])
    assert near_tie(three, 0.03).tolist() == [True, False]
