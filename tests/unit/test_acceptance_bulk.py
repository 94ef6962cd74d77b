"""The acceptance's bulk job, on a target and an endpoint in memory."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.acceptance import bulk
from tools.acceptance.suite import Context
from tools.acceptance.target import AcceptanceError, Deployed
from tools.smoke.checks import jobs
from tools.smoke.credentials import ApiKey
from tools.smoke.endpoint import CheckError
from tools.smoke.suite import Run

MODEL = Path(__file__).parents[2] / "models" / "hair-type"


class FakeTarget:
    """An account whose S3 keeps what is put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def client(self, _service: str) -> Any:
        return SimpleNamespace(put_object=lambda **options: self.objects.update({options["Key"]: options["Body"]}))


def context(target: FakeTarget, **outputs: str) -> Context:
    of_any_type: Any = target
    return Context(of_any_type, {}, 1.0, Deployed("https://x.test/", outputs))


def test_the_golden_images_are_the_manifest_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests: list[str | None] = []

    def completed(run: Run) -> str:
        manifests.append(run.options.job_manifest)
        return "done"

    monkeypatch.setattr(jobs, "completed", completed)
    target = FakeTarget()
    assert bulk.run_job(context(target, BulkBucket="results"), ApiKey("k"), MODEL) == "done"
    assert manifests == ["s3://results/inputs/acceptance/golden.jsonl"]
    keys = [json.loads(line)["key"] for line in target.objects["inputs/acceptance/golden.jsonl"].splitlines()]
    assert keys
    assert {*keys, "inputs/acceptance/golden.jsonl"} == set(target.objects)


def test_a_job_that_fails_is_reported_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    def completed(_run: Run) -> str:
        raise CheckError("1 of 2 images were classified")

    monkeypatch.setattr(jobs, "completed", completed)
    with pytest.raises(AcceptanceError, match="1 of 2 images"):
        bulk.run_job(context(FakeTarget(), BulkBucket="results"), ApiKey("k"), MODEL)


def test_a_stack_without_bulk_jobs_is_reported_clearly() -> None:
    with pytest.raises(AcceptanceError, match="BulkBucket"):
        bulk.run_job(context(FakeTarget()), ApiKey("k"), MODEL)
