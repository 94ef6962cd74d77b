"""The arithmetic of a shared prediction cache, and what the benchmark measures with."""

from __future__ import annotations

from pathlib import Path

import pytest
from images import RED, jpeg, solid
from loupe.card import load_card
from loupe.classifier import Classifier

from benchmarks import caching

ROOT = Path(__file__).resolve().parents[2]


def test_break_even_equates_cost_of_reads_and_writes_with_savings_of_hits() -> None:
    # 1024 MiB: $16.6667 per million seconds; 5 ms of it are $0.0833 per million calls.
    read, write, saved = 0.0625 + 0.0833335, 0.625 + 0.0833335, 1.66667
    rate = caching.break_even(100, memory_mib=1024)
    assert rate == pytest.approx((read + write) / (saved + write))
    assert rate * saved == pytest.approx(read + (1 - rate) * write)


def test_larger_items_and_faster_models_need_more_hits() -> None:
    assert caching.break_even(100, item_bytes=1025) > caching.break_even(100, item_bytes=1024)
    assert caching.break_even(1) > 1
    assert caching.break_even(90) < 0.3 < caching.break_even(85)


def test_the_documentation_has_the_table_of_the_arithmetic() -> None:
    page = (ROOT / "docs" / "caching.md").read_text(encoding="utf-8")
    assert "\n".join(caching.shared_lines({})) in page


def test_a_model_that_never_breaks_even_is_reported() -> None:
    assert caching.shared_lines({"tiny": 0.5})[2] == "| tiny: 0.5 ms | never |"


def test_the_benchmarks_models_classify(tmp_path: Path) -> None:
    large = Classifier.load(caching.large_model(tmp_path))
    assert large.classify(jpeg(solid(RED))).label in ("curly", "straight")
    full = caching.without_draft(tmp_path, ROOT / "models" / "hair-type")
    assert load_card(full).input.jpeg_draft == 0
    assert Classifier.load(full).classify(jpeg(solid(RED))).model.name == full.name
