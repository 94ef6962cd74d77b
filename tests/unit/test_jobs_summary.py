"""The summary of a job: counts of all batches from ResultWriter's files, whatever their format, and failed rows."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from bulk_fakes import NOW, RESULTS, FakeBucketStore, jobs_settings
from jsonschema import Draft202012Validator
from loupe.bulk.keys import failures_key, failures_prefix, rows_prefix, summary_key
from loupe.errors import JobsUnavailable
from loupe.jobs import summarize, unlisted
from loupe.jobs.outputs import MAX_VALUE_CHARACTERS, OutputsError, json_values
from loupe.jobs.storage import MAX_SUMMARY_BYTES, ResultsBucket
from loupe.jobs.summarize import Summarizer

from tools.contract import document

DOCUMENT = document()
JOB_ID = "0" * 20 + "-" + "1" * 32
PREFIX = f"jobs/{JOB_ID}/map/4977ded7"
MANIFEST_KEY = f"{PREFIX}/manifest.json"
MODEL = {"name": "tiny", "version": "1.0.0", "variant": "fp32"}


def output(first: int, rows: int, *, failed: int = 0, skipped: int = 0) -> dict[str, Any]:
    """Return the bulk function's result of a batch."""
    name = f"{first:09}.jsonl"
    return {
        "first": first,
        "last": first + rows + skipped - 1,
        "rows": rows,
        "succeeded": rows - failed,
        "failed": failed,
        "skipped": skipped,
        "labels": {"red": rows - failed},
        "codes": {"image_undecodable": failed} if failed else {},
        "rows_key": f"jobs/{JOB_ID}/rows/{name}",
        "failures_key": failures_prefix(JOB_ID) + name if failed else None,
        "model": MODEL,
        "duration_ms": 1500.0,
    }


def execution(value: dict[str, Any]) -> dict[str, Any]:
    """A child in the format NONE, as AWS's example has it."""
    return {
        "ExecutionArn": "arn:aws:states:eu-west-1:111122223333:execution:loupe/JsonLines:1",
        "Input": json.dumps({"Items": [{"index": 0}]}),
        "InputDetails": {"Included": True},
        "Name": "1",
        "Output": json.dumps(value),
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "Status": "SUCCEEDED",
    }


def lines(values: list[Any]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


FORMATS = {
    "COMPACT JSONL": lines,
    "COMPACT JSON": lambda values: json.dumps(values).encode(),
    "NONE JSONL": lambda values: lines([execution(value) for value in values]),
    "NONE JSON": lambda values: json.dumps([execution(value) for value in values], indent=1).encode(),
}


class Job:
    """A job whose map has ``items`` items: by default those of the outputs."""

    def __init__(self, *files: bytes, tolerated: float = 5.0, items: int | None = None) -> None:
        self.s3 = FakeBucketStore()
        self.items = items
        names = [f"{PREFIX}/SUCCEEDED_{number}.jsonl" for number in range(len(files))]
        manifest = {
            "DestinationBucket": RESULTS,
            "MapRunArn": "arn:aws:states:eu-west-1:111122223333:mapRun:loupe/JsonLines:4977ded7",
            "ResultFiles": {
                "FAILED": [],
                "PENDING": [],
                "SUCCEEDED": [{"Key": name, "Size": len(file)} for name, file in zip(names, files, strict=True)],
            },
        }
        self.s3.objects[RESULTS, MANIFEST_KEY] = json.dumps(manifest).encode()
        for name, file in zip(names, files, strict=True):
            self.s3.objects[RESULTS, name] = file
        self.event = {
            "action": "summarize",
            "job": {
                "id": JOB_ID,
                "source": {"type": "jsonl", "bucket": "photos", "key": "a.jsonl"},
                "tolerated_failure_percentage": tolerated,
            },
            "map": {"MapRunArn": "...", "ResultWriterDetails": {"Bucket": RESULTS, "Key": MANIFEST_KEY}},
            "started": "2026-11-23T08:58:20.000Z",
        }

    def add_failures(self, *values: dict[str, Any]) -> None:
        for value in values:
            if value["failures_key"]:
                line = json.dumps({"s3": f"s3://photos/{value['first']}.jpg"}) + "\n"
                self.s3.objects[RESULTS, value["failures_key"]] = line.encode() * value["failed"]

    def run(self, deadline: float = inf) -> dict[str, Any]:
        return Summarizer(jobs_settings(), self.s3, self._count_items, lambda: NOW).run(self.event, deadline)

    def _count_items(self, map_run_arn: str) -> int:
        assert map_run_arn == self.event["map"]["MapRunArn"]
        return 0 if self.items is None else self.items

    def add_rows(self, first: int, last: int, *codes: str) -> None:
        """Add the row file of a batch: a row for each code, "" for a classified image."""
        rows: list[dict[str, Any]] = [
            {"index": first + number, "error": {"code": code}} if code else
            {"index": first + number, "label": "blue"}
            for number, code in enumerate(codes)
        ]  # fmt: skip
        name = f"{first:09}-{last:09}-{'0' * 16}.jsonl"
        self.s3.objects[RESULTS, rows_prefix(JOB_ID) + name] = lines(rows)
        if failed := [code for code in codes if code]:
            line = json.dumps({"s3": f"s3://photos/{first}.jpg"}) + "\n"
            self.s3.objects[RESULTS, failures_prefix(JOB_ID) + name] = line.encode() * len(failed)

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.s3.objects[RESULTS, summary_key(JOB_ID)])
        Draft202012Validator(
            {"$ref": "#/components/schemas/JobSummary", "components": DOCUMENT["components"]}
        ).validate(summary)
        return summary


OUTPUTS = [output(0, 50), output(50, 50, failed=2), output(100, 20, failed=1, skipped=5)]


@pytest.mark.parametrize("name", FORMATS)
def test_counts_of_every_format_and_file_add_up(name) -> None:
    job = Job(FORMATS[name](OUTPUTS[:2]), FORMATS[name](OUTPUTS[2:]), items=125)
    job.add_failures(*OUTPUTS)
    answer = job.run()
    assert answer == {
        "status": "succeeded",
        "images": 120,
        "succeeded": 117,
        "failed": 3,
        "skipped": 5,
        "failed_percentage": 2.5,
        "summary_key": summary_key(JOB_ID),
    }
    summary = job.summary
    assert (summary["labels"], summary["failures_by_code"]) == ({"red": 117}, {"image_undecodable": 3})
    assert (summary["batches"], summary["busy_seconds"], summary["models"]) == (3, 4.5, [MODEL])
    assert (summary["duration_seconds"], summary["images_per_second"]) == (100.0, 1.2)
    assert (summary["started_at"], summary["ended_at"]) == ("2026-11-23T08:58:20Z", "2026-11-23T09:00:00Z")
    assert summary["usd"] == pytest.approx(120 * 4e-7 + 3 * 6e-5 + 4.5 * 3e-5, abs=1e-6)
    assert summary["complete"] is True


def test_failed_rows_are_one_manifest_in_order() -> None:
    job = Job(lines(OUTPUTS[::-1]))
    job.add_failures(*OUTPUTS)
    job.run()
    content = job.s3.objects[RESULTS, failures_key(JOB_ID)]
    assert [json.loads(line)["s3"] for line in content.splitlines()] == ["s3://photos/50.jpg"] * 2 + [
        "s3://photos/100.jpg"
    ]
    assert job.summary["failures"] == {
        "file": failures_key(JOB_ID),
        "complete": True,
        "prefix": failures_prefix(JOB_ID),
    }


def test_rows_of_listed_batches_are_not_read() -> None:
    job = Job(lines(OUTPUTS), items=125)
    job.add_failures(*OUTPUTS)
    job.run()
    assert [arguments["Key"] for _, arguments in job.s3.calls if "/rows/" in arguments["Key"]] == []


@pytest.mark.parametrize(("tolerated", "status"), [(2.4, "too_many_failed"), (2.5, "succeeded"), (0, "too_many_failed"),
                                                   (100, "succeeded")])  # fmt: skip
def test_tolerance_is_judged_by_rows(tolerated, status) -> None:
    job = Job(lines(OUTPUTS), tolerated=tolerated)
    job.add_failures(*OUTPUTS)
    assert job.run()["status"] == job.summary["status"] == status


def test_a_job_without_images() -> None:
    job = Job()
    assert job.run()["status"] == "succeeded"
    assert (job.summary["images"], job.summary["failures"]["file"], job.summary["complete"]) == (0, None, True)


def test_a_row_that_is_missing_shows() -> None:
    job = Job(lines([output(0, 50), output(60, 50)]), items=110)
    job.run()
    assert job.summary["complete"] is False


def test_batches_that_the_map_does_not_list_are_counted_from_their_rows() -> None:
    """As after a redrive, if ResultWriter lists only what the redrive ran."""
    job = Job(lines([output(50, 50, failed=1)]), items=157, tolerated=1.9)
    job.add_failures(output(50, 50, failed=1))
    job.add_rows(0, 49, "image_undecodable", "s3_unreachable", *[""] * 48)
    job.add_rows(50, 99, *["counted_by_its_output"] * 50)
    # Two objects of the listing were skipped.
    job.add_rows(100, 156, *[""] * 55)
    assert job.run()["status"] == "too_many_failed"
    summary = job.summary
    assert (summary["images"], summary["succeeded"], summary["failed"], summary["skipped"]) == (155, 152, 3, 2)
    assert summary["labels"] == {"blue": 103, "red": 49}
    assert summary["failures_by_code"] == {"image_undecodable": 2, "s3_unreachable": 1}
    assert (summary["complete"], summary["batches"], summary["busy_seconds"]) == (True, 3, 1.5)
    failed = job.s3.objects[RESULTS, failures_key(JOB_ID)].splitlines()
    assert [json.loads(line)["s3"] for line in failed] == ["s3://photos/0.jpg"] * 2 + ["s3://photos/50.jpg"]


def test_few_listed_batches_of_many_are_not_a_complete_summary() -> None:
    job = Job(lines([output(0, 50)]), items=1000)
    job.run()
    assert (job.summary["images"], job.summary["complete"]) == (50, False)


def test_the_row_files_that_a_summary_reads_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(unlisted, "MAX_FILES", 2)
    job = Job(items=2500)
    for first in range(0, 2500, 2):
        job.add_rows(first, first + 1, "", "")
    job.run()
    assert (job.summary["images"], job.summary["complete"]) == (4, False)
    monkeypatch.setattr(unlisted, "MAX_FILES", 5000)
    job.run()
    assert (job.summary["images"], job.summary["complete"]) == (2500, True)


def test_a_summary_without_time_left_reads_no_further_file_and_is_written() -> None:
    job = Job(lines(OUTPUTS), items=175)
    job.add_failures(*OUTPUTS)
    job.add_rows(125, 174, *[""] * 50)
    job.run(deadline=time.monotonic())
    summary = job.summary
    assert (summary["images"], summary["complete"]) == (120, False)
    assert (summary["failed"], summary["failures"]["complete"]) == (3, False)


@pytest.mark.parametrize(("name", "bound"), [("MAX_FAILURE_FILES", 1), ("MAX_FAILURE_BYTES", 60)])
def test_the_manifest_of_failed_rows_is_bounded(monkeypatch, name, bound) -> None:
    monkeypatch.setattr(summarize, name, bound)
    job = Job(lines(OUTPUTS))
    job.add_failures(*OUTPUTS)
    job.run()
    assert job.summary["failures"]["complete"] is False
    assert job.summary["failed"] == 3
    assert len(job.s3.objects[RESULTS, failures_key(JOB_ID)].splitlines()) == 2


def test_a_manifest_of_failed_rows_of_exactly_the_bound_is_complete(monkeypatch) -> None:
    job = Job(lines(OUTPUTS))
    job.add_failures(*OUTPUTS)
    size = sum(len(job.s3.objects[RESULTS, value["failures_key"]]) for value in OUTPUTS if value["failures_key"])
    monkeypatch.setattr(summarize, "MAX_FAILURE_BYTES", size)
    job.run()
    assert job.summary["failures"]["complete"] is True
    assert len(job.s3.objects[RESULTS, failures_key(JOB_ID)]) == size


@pytest.mark.parametrize("label", ["{:05}", "{:05}" + "x" * 250, "{:05}" + 'é"' * 100])
def test_a_summary_is_readable_with_any_labels(label) -> None:
    """The writer leaves out the rarest labels where the reader would reject the file."""
    values = [
        {
            **output(first, 1000),
            "labels": {label.format(number): 20_000 - number for number in range(first, first + 1000)},
        }
        for first in range(0, 12_000, 1000)
    ]
    job = Job(lines(values))
    job.run()
    summary = ResultsBucket(RESULTS, job.s3).read_json(summary_key(JOB_ID))
    assert summary == job.summary
    assert 0 < len(summary["labels"]) <= summarize.MAX_LABELS
    assert len(summary["labels"]) + summary["labels_omitted"] == 12_000
    assert list(summary["labels"]) == [label.format(number) for number in range(len(summary["labels"]))]
    size = len(job.s3.objects[RESULTS, summary_key(JOB_ID)])
    assert len(summary["labels"]) == summarize.MAX_LABELS or MAX_SUMMARY_BYTES - 2000 < size <= MAX_SUMMARY_BYTES


def test_busy_seconds_are_those_of_the_batches() -> None:
    job = Job(lines([{**output(0, 50), "duration_ms": 900_000.0}, {**output(50, 50), "duration_ms": 800.0}]))
    job.run()
    assert job.summary["busy_seconds"] == 900.8


@pytest.mark.parametrize(
    "content",
    [b"not json", b'{"rows": 1', b'[{"rows": 1}]', b"[3]",
     json.dumps([{**execution(OUTPUTS[0]), "Output": "3"}]).encode(),
     b'"' + b"x" * (MAX_VALUE_CHARACTERS + 10), b"x" * (MAX_VALUE_CHARACTERS + 10)],
)  # fmt: skip
def test_damaged_files_are_errors(content) -> None:
    with pytest.raises(OutputsError):
        Job(content).run()


@pytest.mark.parametrize("operation", ["get_object", "put_object"])
@pytest.mark.parametrize("failure", ["SlowDown", ReadTimeoutError(endpoint_url="https://s3")])
def test_s3_that_does_not_respond_is_a_transient_error(operation, failure) -> None:
    job = Job(lines(OUTPUTS))
    job.add_failures(*OUTPUTS)
    job.s3.fail[operation] = [failure]
    with pytest.raises(JobsUnavailable):
        job.run()
    assert job.run()["images"] == 120


@pytest.mark.parametrize("event", [{}, {"action": "delete"}, None, []])
def test_other_events_are_errors(event) -> None:
    with pytest.raises(ValueError, match="neither"):
        Summarizer(jobs_settings(), FakeBucketStore(), lambda _: 0, lambda: datetime.now(UTC)).run(event)


def test_values_are_read_from_pieces_of_any_size() -> None:
    text = json.dumps([{"a": "é\n]["}, {"b": [1, {"c": 2}]}]) + '\n{"d": 1}\n'
    for size in (1, 2, 3, 7, len(text)):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert list(json_values(iter(pieces))) == [{"a": "é\n]["}, {"b": [1, {"c": 2}]}, {"d": 1}]
