"""The planner's figures for bulk jobs, and the rates that the jobs function gets, are one arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from infra.bulk_rates import BulkLoad, rates
from infra.settings import Settings, load_settings
from tools import prices
from tools.doctor.account import bulk_reserves, shadow_reserve
from tools.plan.bulk import START_SECONDS, TRANSITIONS_A_JOB, BulkJob, duration, main, report

LOAD = BulkLoad(batch_items=50, concurrency=40, memory_mib=1769, seconds_per_image=0.05)


@pytest.mark.parametrize(
    ("images", "batches", "seconds"),
    [(1, 1, 0.05), (50, 1, 2.5), (51, 2, 2.5), (2_000, 40, 2.5), (2_001, 41, 5.0), (1_000_000, 20_000, 1_250.0)],
)
def test_time_is_whole_rounds_of_batches(images: int, batches: int, seconds: float) -> None:
    job = BulkJob(images, LOAD)
    assert (job.batches, job.seconds) == (batches, pytest.approx(START_SECONDS + seconds))


@pytest.mark.parametrize("load", [LOAD, BulkLoad(100, 7, 3008, 0.2, "arm64", kms=True, kms_images=True)])
def test_the_rates_of_the_jobs_function_add_up_to_the_bill(load: BulkLoad) -> None:
    job = BulkJob(100_000, load)
    job_rates = {name.removeprefix("LOUPE_BULK_"): float(value) for name, value in rates(load).items()}
    estimated = (
        job.images * job_rates["USD_PER_IMAGE"]
        + job.batches * job_rates["USD_PER_BATCH"]
        + job.images * job_rates["SECONDS_PER_IMAGE"] * job_rates["USD_PER_SECOND"]
    )
    parent = TRANSITIONS_A_JOB * prices.STATE_TRANSITIONS.first + prices.LAMBDA_REQUESTS.first
    assert job.dollars - parent == pytest.approx(estimated, rel=1e-6)


def test_costs_of_a_million_images_equal_those_on_the_page() -> None:
    text = report(BulkJob(1_000_000, LOAD))
    assert "US$ 2.94 (2.94 per million images)" in text
    assert "| Step Functions transitions, Standard | 40,006 | 1.00 |" in text
    assert "21.1 min, 800 images/s" in text


def test_the_tightest_quota_is_listed_first() -> None:
    assert BulkJob(100_000_000, BulkLoad(50, 900, 1769, 0.05)).limits()[0][0].startswith("S3 GET")
    assert BulkJob(1_000_000, BulkLoad(50, 900, 1769, 1.0)).limits()[0][0].startswith("Lambda concurrency")


def test_small_batches_meet_the_quota_of_state_transitions_first() -> None:
    # 400 environments, four batches of 10 images a second each, two transitions a batch.
    name, used, quota = BulkJob(1_000_000, BulkLoad(10, 400, 1769, 0.025)).limits()[0]
    assert name.startswith("Step Functions transitions a second")
    assert (used, quota) == (pytest.approx(3_200), 800)


def test_a_quota_that_a_job_exceeds_is_marked() -> None:
    text = report(BulkJob(100_000_001, LOAD))
    assert "| items of a Map Run | 100,000,001 (above the quota) | 100,000,000 |" in text
    assert text.count("above the quota") == 1


def test_a_batch_that_no_function_has_time_for_is_rejected() -> None:
    main(images=1000, batch_items=30, seconds_per_image=30.0)
    with pytest.raises(typer.BadParameter, match=r"a batch takes 930 s, .* at most 900"):
        main(images=1000, batch_items=31, seconds_per_image=30.0)


@pytest.mark.parametrize(("seconds", "text"), [(90, "90 s"), (120, "2.0 min"), (9_000, "2.5 h"), (259_200, "3.0 days")])
def test_durations_are_in_units_of_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("bulk", "reserves"),
    [
        ({"enabled": True, "reserved_concurrency": 50}, {"loupe-x-bulk": 50, "loupe-x-jobs": 5}),
        ({"enabled": True}, {}),
        ({"reserved_concurrency": 50}, {}),
    ],
)
def test_the_doctor_adds_the_reserves_of_bulk_jobs(bulk: dict[str, Any], reserves: dict[str, int]) -> None:
    settings = Settings.model_validate({"environment": "x", "bulk": bulk})
    assert bulk_reserves(settings) == reserves


def test_the_doctor_counts_the_reserve_of_a_shadow_test() -> None:
    def reserve(**shadow: object) -> dict[str, int]:
        return shadow_reserve(load_settings({"environments": {"dev": {"shadow": shadow}}}, "dev"))

    assert reserve(challenger="b", reserved_concurrency=3) == {"loupe-dev-shadow": 3}
    assert reserve(challenger="b") == reserve() == {}
