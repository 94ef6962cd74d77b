"""Figures that the benchmarks compute from measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from events import Context
from fakes import make_app
from loupe.card import load_card
from loupe.classifier import Classifier

from benchmarks import report, shipped
from benchmarks.bulk import read_profile, stage_table
from benchmarks.bulk_estimate import compared, start_seconds
from benchmarks.content import dependency_step
from benchmarks.costs import Size, balanced
from benchmarks.stages import _stages
from benchmarks.timing import Row, Section, ratio
from infra.bulk_rates import BulkLoad
from infra.settings import FunctionSettings
from localcloud.environment import Outcome
from tools.plan.bulk import BulkJob

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("measured", "sense", "passed"),
    [(1.9, "least", True), (1.89, "least", False), (1.9, "most", True), (1.91, "most", False), (5.0, "none", None)],
)
def test_a_row_is_held_against_its_target(measured: float, sense: str, passed: bool | None) -> None:
    assert Row("group", "what", measured, 1.9, sense, "").passed is passed  # type: ignore[arg-type]


def test_a_row_that_was_not_measured_passes_nothing() -> None:
    assert Row("group", "not measured: no strace", None, 0.5, "most", "").passed is None


def test_the_ratio_of_medians_is_within_its_interval() -> None:
    value, (low, high) = ratio([10.0, 11.0, 12.0, 100.0], [5.0, 5.5, 6.0])
    assert value == pytest.approx(11.5 / 5.5)
    assert low <= value <= high


def test_the_dockerfiles_own_step_is_measured() -> None:
    step = dependency_step((ROOT / "function" / "Dockerfile").read_text())
    assert step.startswith("python -m pip install")
    assert "--require-hashes" in step
    assert step.endswith("chmod -R a+rX,go-w .")
    assert "\\" not in step


def size(memory: int, billed: float) -> Size:
    return Size(memory, cold_ms=200, billed_ms=billed, median_ms=7, p95_ms=9, large_ms=30, peak_mib=80)


def test_price_of_a_million_requests() -> None:
    # 0.0000166667 x 1 GB x 0.008 s x 1,000,000 + 0.20
    assert size(1024, 8.0).dollars == pytest.approx(0.1333336 + 0.20)
    # 0.00002 x 2 GB x 0.008 s x 1,000,000 + 0.016 x 1,000,000 KiB in GiB
    assert size(1025, 8.0).sagemaker_dollars(1024) == pytest.approx(0.32 + 0.016 * 1e6 / 2**20)


def test_the_size_that_balances_duration_and_price() -> None:
    # Below one vCPU duration falls as memory grows, at about the same price; above it only the price grows.
    sizes = [size(512, 26), size(1024, 13), size(1769, 7.5), size(3008, 7.2)]
    assert balanced(sizes).memory_mib == 1769


def test_stages_add_up_to_the_billed_duration() -> None:
    stages = _stages("source;dur=0.1, decode;dur=2.0, tensor;dur=1.0, model;dur=1.5, total;dur=5.0", 6.5)
    assert stages == pytest.approx(
        {"source": 0.1, "decode": 2.0, "tensor": 1.0, "model": 1.5, "rest": 0.4, "runtime": 1.5}
    )


def test_the_report_names_missed_targets(tmp_path: Path) -> None:
    rows = [
        Row("Warm", "against the peer", 3.0, 1.9, "least", "30 ms / 10 ms", (2.8, 3.2)),
        Row("Opened", "against the peer", 0.6, 0.5, "most", "131 MB / 213 MB"),
    ]
    page = report.write(tmp_path, rows, [Section("Stages", ["| a |", "|---|"])], 1.2, quick=False).read_text()
    assert "| Warm: against the peer | ≥ 1.9 x | 3.00 x (2.80 to 3.20) | yes | 30 ms / 10 ms |" in page
    assert "| Opened: against the peer | ≤ 0.5 x | 0.60 x | **no** | 131 MB / 213 MB |" in page
    assert "## Stages" in page
    assert (tmp_path / "images" / "benchmarks.svg").read_text().startswith("<?xml")


def test_the_power_tuning_input_is_accepted_by_the_function() -> None:
    tuning = json.loads((ROOT / "docs" / "power-tuning.json").read_text())
    assert FunctionSettings().memory_mib in tuning["powerValues"]
    answer = make_app(Classifier.load(ROOT / "models" / "hair-type")).direct(tuning["payload"], Context())
    assert answer["label"] == "curly"


def test_shipped_models_are_held_to_their_size_and_time() -> None:
    cards = [load_card(ROOT / "models" / name) for name in shipped.MAX_MEGABYTES]
    rows = {(row.group, row.what): row for row in shipped.rows(cards, {"hair-type": [1.0], "hair-type-large": [12.5]})}
    assert rows[shipped.GROUP, "hair-type-large"].passed is False
    assert rows[shipped.GROUP, "hair-type-large against hair-type"].ratio == 12.5
    assert all(row.passed for (group, _), row in rows.items() if group == shipped.FILES)


# Two environments at 10 ms an image: a round of 100 images takes 0.5 s.
BULK_LOAD = BulkLoad(batch_items=50, concurrency=2, memory_mib=1769, seconds_per_image=0.01)


def test_the_time_beside_the_batches_comes_from_a_job_of_one_round() -> None:
    assert start_seconds(BULK_LOAD, 100, 1.7) == pytest.approx(1.2)
    assert start_seconds(BULK_LOAD, 100, 0.4) == 0


@pytest.mark.parametrize(
    ("measured", "deviation", "passed"), [(10.0, 0.12, True), (14.5, 0.23, False), (9.0, 0.24, False)]
)
def test_an_estimate_may_be_off_by_a_fifth_either_side(measured: float, deviation: float, passed: bool) -> None:
    # 20 rounds of 0.5 s and 1.2 s beside them.
    row = compared(BulkJob(2000, BULK_LOAD, 1.2), measured)
    assert row.ratio == pytest.approx(deviation, abs=0.005)
    assert row.passed is passed


def bulk_outcome(succeeded: int) -> Outcome:
    log = {"message": "batch", "duration_ms": 90.5, "stages_ms": {"source": 40.0, "store": 5.0}}
    return Outcome(
        payload=json.dumps({"succeeded": succeeded}).encode(),
        function_error=None,
        status="",
        duration_ms=92.0,
        init_ms=None,
        memory_mib=100,
        output=["other", json.dumps(log, separators=(",", ":"))],
    )


def test_stages_of_a_batch_come_from_its_log_line() -> None:
    assert read_profile(bulk_outcome(50)) == {"source": 40.0, "store": 5.0, "all": 90.5, "runtime": 1.5}
    with pytest.raises(RuntimeError, match="49"):
        read_profile(bulk_outcome(49))


def test_the_table_of_stages_has_medians_and_leaves_cells_empty() -> None:
    table = stage_table({"bulk": [{"all": 1.0, "runtime": 2.0}, {"all": 3.0, "runtime": 4.0}], "loop": [{"all": 7.0}]})
    assert "| the whole batch | 2.0 | 7.0 |" in table
    assert table[-1].endswith("| 3.0 |  |")
