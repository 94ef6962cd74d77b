"""Every odd and broken image of the corpus gives a right answer or a problem, in bounded time and memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import corpus
import images
import memory
import pytest
from loupe.errors import Problem

if TYPE_CHECKING:
    from loupe.classifier import Classifier

# Pillow warns of each of 60,000 broken EXIF entries; pytest would keep them all.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GOOD = {"red": images.jpeg(images.solid(images.RED)), "blue": images.png(images.solid(images.BLUE))}


@dataclass(frozen=True)
class Outcome:
    name: str
    expected: str
    label: str | None
    problem: Problem | None
    cpu_seconds: float
    grown_bytes: int
    good_one_after: bool


@pytest.fixture(scope="module")
def cases() -> list[corpus.Case]:
    return list(corpus.cases())


@pytest.fixture(scope="module")
def outcomes(classifier: Classifier, cases: list[corpus.Case]) -> list[Outcome]:
    """Run all of it in this one process, with a good image after each."""
    return [_run(classifier, *case) for case in cases]


def _run(classifier: Classifier, name: str, data: bytes, expected: str) -> Outcome:
    label, problem = None, None

    def classify() -> None:
        nonlocal label, problem
        try:
            label = classifier.classify(data).label
        except Problem as caught:
            problem = caught

    started = time.thread_time()
    if memory.can_measure():
        grown = memory.growth(classify)
    else:
        classify()
        grown = 0
    seconds = time.thread_time() - started
    good = all(classifier.classify(content).label == label for label, content in GOOD.items())
    return Outcome(name, expected, label, problem, seconds, grown, good)


def test_the_corpus_is_large_and_always_the_same(cases: list[corpus.Case]) -> None:
    assert len(cases) >= 150
    assert cases == list(corpus.cases())
    assert len({name for name, _, _ in cases}) == len(cases)


def test_valid_corpus_images_are_classified(outcomes: list[Outcome]) -> None:
    fine = [outcome for outcome in outcomes if outcome.expected == corpus.FINE]
    assert len(fine) > 50
    assert [(o.name, o.label, o.problem) for o in fine if o.label != "red"] == []


def test_broken_token_is_rejected(outcomes: list[Outcome]) -> None:
    broken = [outcome for outcome in outcomes if outcome.expected == corpus.REJECTED]
    assert len(broken) > 100
    assert [o.name for o in broken if o.problem is None] == []


def test_every_rejection_is_a_client_problem_with_a_clear_message(outcomes: list[Outcome]) -> None:
    problems = [outcome.problem for outcome in outcomes if outcome.problem]
    assert {type(problem).status for problem in problems} <= {413, 415, 422}
    assert all(problem.detail.endswith(".") and "\n" not in problem.detail for problem in problems)


def test_process_continues_after_a_trace(outcomes: list[Outcome]) -> None:
    assert [outcome.name for outcome in outcomes if not outcome.good_one_after] == []


def test_time_is_bounded(outcomes: list[Outcome]) -> None:
    assert [(o.name, o.cpu_seconds) for o in outcomes if o.cpu_seconds > 2] == []


@pytest.mark.skipif(not memory.can_measure(), reason="this kernel does not tell a process's peak memory")
def test_memory_is_bounded(outcomes: list[Outcome]) -> None:
    assert [(o.name, o.grown_bytes) for o in outcomes if o.grown_bytes > 100 * corpus.MIB] == []
