"""A batch of a job: one row for each manifest row, whatever fails and however often it is tried."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from bulk_fakes import RESULTS, FakeBucketStore
from events import Context
from fakes import Opened
from images import BLUE, RED, jpeg, solid
from loupe.batch import WORKERS
from loupe.bulk import classify
from loupe.bulk.batch import BatchProcessor, BatchUnfinished
from loupe.bulk.invocation import BulkLog, Invocations
from loupe.bulk.keys import batch_name
from loupe.bulk.store import ResultStore
from loupe.bulk.uploads import UploadProcessor
from loupe.errors import DeadlineExceeded, InternalError, S3Unavailable
from loupe.jobs.manifest import check_beginning
from loupe.service import BatchResult, Service
from loupe.sources import Sources
from loupe.sources.s3 import S3Location, S3Object, S3Rules
from loupe.sources.s3_reader import ObjectReader

RULES = S3Rules((S3Location("photos"),))
RED_JPEG, BLUE_JPEG = jpeg(solid(RED)), jpeg(solid(BLUE))
OBJECTS = {
    ("photos", "red.jpg"): RED_JPEG,
    ("photos", "blue.jpg"): BLUE_JPEG,
    ("photos", "broken.jpg"): RED_JPEG[:200],
    ("photos", "text.jpg"): b"hello",
    ("photos", "RED.JPG"): RED_JPEG,
    ("photos", "a b+c é.jpg"): RED_JPEG,
    ("photos", "list.jsonl"): b"",
}
JOB_ID = "0" * 20 + "-" + "1" * 32


class Bulk:
    """The bulk function's parts over fakes; ``images`` is the S3 that images are read from, ``results`` the other."""

    def __init__(self, classifier: Any, service: Any = None) -> None:
        self.images, self.results = FakeBucketStore(OBJECTS), FakeBucketStore()
        reader = ObjectReader(RULES, classifier.limits.max_bytes, self.images)  # type: ignore[arg-type]
        self.sources = Sources({S3Object: Opened(reader, RULES)})
        self.service = service or Service(classifier)
        self.store, log = ResultStore(RESULTS, self.results), BulkLog("test")
        batches = BatchProcessor(self.service, self.sources, self.store, log.batch)
        self.invocations = Invocations(
            batches, UploadProcessor(self.service, self.sources, self.store), log, restart_seconds=0
        )

    def run(self, items: list[Any], *, kind: str = "jsonl", start: int = 0, top: Any = 5) -> dict[str, Any]:
        return self.invocations.run(event(items, kind=kind, start=start, top=top), Context(remaining_ms=30_000))

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the job, in the order of a listing."""
        names = sorted(key for _, key in self.results.objects if "/rows/" in key)
        return [json.loads(line) for name in names for line in self.results.objects[RESULTS, name].splitlines()]

    def failures(self) -> list[Any]:
        names = sorted(key for _, key in self.results.objects if "/failures/" in key)
        return [json.loads(line) for name in names for line in self.results.objects[RESULTS, name].splitlines()]


def event(items: list[Any], *, kind: str = "jsonl", start: int = 0, top: Any = 5) -> dict[str, Any]:
    source = {"type": kind, "bucket": "photos", "key" if kind != "prefix" else "prefix": "list.jsonl"}
    return {
        "BatchInput": {"job": {"id": JOB_ID, "source": source, "top": top}},
        "Items": [{"index": start + index, "item": item} for index, item in enumerate(items)],
    }


@pytest.fixture
def bulk(classifier) -> Bulk:
    return Bulk(classifier)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch) -> None:
    monkeypatch.setattr(classify, "_FIRST_PAUSE_SECONDS", 0.0)


def test_every_manifest_row_has_one_row(bulk) -> None:
    items: list[Any] = [
        {"key": "red.jpg"},
        {"s3": "s3://photos/blue.jpg", "note": "ignored"},
        {"key": "broken.jpg"},
        {"key": "missing.jpg"},
        {"key": "red.jpg"},
        {"s3": "s3://elsewhere/red.jpg"},
        {"key": "text.jpg"},
        {},
        "s3://photos/red.jpg",
        {"s3": "photos/red.jpg"},
        {"key": "red.jpg", "s3": "s3://photos/red.jpg"},
        {"key": 5},
        {"key": "a b+c é.jpg"},
    ]
    result = bulk.run(items, start=100)
    rows = bulk.rows()
    assert [row["index"] for row in rows] == list(range(100, 113))
    codes = [row["error"]["code"] if "error" in row else row["label"] for row in rows]
    assert codes == [
        "red",
        "blue",
        "image_undecodable",
        "s3_unreachable",
        "red",
        "s3_not_allowed",
        "unsupported_media_type",
        *["item_invalid"] * 5,
        "red",
    ]
    assert (result["first"], result["last"], result["rows"]) == (100, 112, 13)
    assert (result["succeeded"], result["failed"], result["skipped"]) == (4, 9, 0)
    assert result["labels"] == {"red": 3, "blue": 1}
    assert result["codes"]["item_invalid"] == 5
    assert rows[0]["model"] == result["model"] == {"name": "tiny", "version": "1.0.0", "variant": "fp32"}
    assert (rows[12]["bucket"], rows[12]["key"]) == ("photos", "a b+c é.jpg")
    assert set(rows[0]["scores"]) == {"red", "blue"}


def test_failed_rows_are_a_manifest_for_a_new_job(bulk, classifier) -> None:
    result = bulk.run([{"key": "red.jpg"}, {"key": "missing.jpg"}, {"key": "broken.jpg"}, {"no": "image"}])
    lines = bulk.failures()
    assert lines == [{"s3": "s3://photos/missing.jpg"}, {"s3": "s3://photos/broken.jpg"}, {"no": "image"}]
    assert (RESULTS, result["failures_key"]) in bulk.results.objects
    again = Bulk(classifier)
    again.run(lines)
    assert [row["error"]["code"] for row in again.rows()] == ["s3_unreachable", "image_undecodable", "item_invalid"]


@pytest.mark.parametrize("row", [["red.jpg"], "red.jpg", 5, None, True])
def test_a_manifest_of_failed_rows_begins_with_an_object(bulk, row) -> None:
    bulk.run([row])
    assert bulk.failures() == [{"row": row}]
    (line,) = bulk.failures()
    check_beginning(json.dumps(line).encode(), "jsonl", whole=True)


def test_without_failures_there_is_no_file_of_them(bulk) -> None:
    assert bulk.run([{"key": "red.jpg"}])["failures_key"] is None
    assert bulk.failures() == []


def test_the_number_of_scores_is_the_jobs(bulk) -> None:
    bulk.run([{"key": "red.jpg"}], top=1)
    assert list(bulk.rows()[0]["scores"]) == ["red"]
    bulk.run([{"key": "red.jpg"}, {"key": "red.jpg"}], top="all")
    assert len(bulk.rows()[-1]["scores"]) == 2


def test_a_listing_skips_folders_and_other_files_and_counts_them(bulk) -> None:
    bulk.images.objects["photos", "upload-without-extension"] = BLUE_JPEG
    keys = ["folder/", "notes.txt", "red.jpg", ".DS_Store", "upload-without-extension", "archive.tar.gz", "RED.JPG"]
    result = bulk.run([{"Key": key, "Size": 1, "Etag": "x"} for key in keys], kind="prefix")
    assert (result["rows"], result["skipped"], result["first"], result["last"]) == (3, 4, 0, 6)
    assert [(row["index"], row["key"]) for row in bulk.rows()] == [
        (2, "red.jpg"),
        (4, "upload-without-extension"),
        (6, "RED.JPG"),
    ]


def test_a_batch_of_skipped_objects_writes_nothing(bulk) -> None:
    result = bulk.run([{"Key": "folder/"}], kind="prefix")
    assert (result["rows"], result["skipped"], result["rows_key"]) == (0, 1, None)
    assert bulk.results.objects == {}


def test_a_retry_writes_the_same_keys(bulk) -> None:
    items = [{"key": "red.jpg"}, {"key": "missing.jpg"}]
    first = bulk.run(items)
    before = dict(bulk.results.objects)
    again = bulk.run(items)
    assert {**first, "duration_ms": 0} == {**again, "duration_ms": 0}
    assert bulk.results.objects.keys() == before.keys()
    assert len(bulk.rows()) == 2


def test_the_key_depends_on_every_item(bulk) -> None:
    names = {
        batch_name(event(items, start=start)["Items"])
        for items in ([{"key": "a"}, {"key": "b"}], [{"key": "b"}, {"key": "a"}], [{"key": "a"}, {"key": "bb"}])
        for start in (0, 1)
    }
    assert len(names) == 6
    assert min(names).startswith("000000000-000000001-")


class Slow:
    """A service that has time for a few images in each invocation."""

    def __init__(self, service: Any, most: int) -> None:
        self._service, self.most, self.batch_sizes = service, most, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def classify_many(self, images: Any, **options: Any) -> BatchResult:
        self.batch_sizes.append(len(images))
        for image in [] if self.most else images[:WORKERS]:
            # Read, and not decoded by the deadline.
            with suppress(S3Unavailable):
                image(seconds=5)
        done = self._service.classify_many(images[: self.most], **options)
        late = [DeadlineExceeded("later")] * (len(images) - len(done.outcomes))
        return BatchResult([*done.outcomes, *late], 0)


def test_an_invocation_at_its_deadline_writes_finished_rows_and_the_retry_resumes(classifier) -> None:
    slow = Slow(Service(classifier), 3)
    bulk = Bulk(classifier, slow)
    items = [{"key": "red.jpg"}, {"key": "missing.jpg"}, {}, *[{"key": "blue.jpg"}] * 4]
    with pytest.raises(BatchUnfinished, match="4 of 7 images are left"):
        bulk.run(items)
    assert [row["index"] for row in bulk.rows()] == [0, 1, 2]
    with pytest.raises(BatchUnfinished, match="1 of 7"):
        bulk.run(items)
    result = bulk.run(items)
    assert slow.batch_sizes == [7, 4, 1]
    assert [row["index"] for row in bulk.rows()] == list(range(7))
    assert (result["rows"], result["failed"], result["labels"]) == (7, 2, {"red": 1, "blue": 4})
    assert bulk.failures() == [{"s3": "s3://photos/missing.jpg"}, {}]


def test_images_that_use_up_a_whole_attempt_do_not_stop_the_batch(classifier, monkeypatch) -> None:
    """The first eight are begun together; nothing of them is done, however often they are tried."""
    slow = Slow(Service(classifier), 0)
    bulk = Bulk(classifier, slow)
    items = [{"key": "red.jpg"}] * 10
    with pytest.raises(BatchUnfinished, match="10 of 10"):
        bulk.invocations.run(event(items), Context(remaining_ms=15_000))
    assert bulk.rows() == []
    with pytest.raises(BatchUnfinished, match="2 of 10"):
        bulk.invocations.run(event(items), Context(remaining_ms=30_000))
    slow.most = 10
    result = bulk.run(items)
    assert (result["succeeded"], result["codes"]) == (2, {"deadline_exceeded": 8})
    assert len(bulk.failures()) == 8


class Throttled:
    """A service whose images are all read in vain: until the deadline, and from then on not at all."""

    def __init__(self, service: Any) -> None:
        self._service, self.passes = service, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def classify_many(self, images: Any, **options: Any) -> BatchResult:
        self.passes += 1
        if self.passes > 1:
            return BatchResult([DeadlineExceeded("later")] * len(images), 0)
        started = self._service.classify_many(images[:4], **options).outcomes
        return BatchResult([*started, *[DeadlineExceeded("later")] * (len(images) - len(started))], 0)


def test_images_that_s3_throttles_until_the_deadline_are_not_stuck(classifier) -> None:
    """Neither those that were read again and cut off, nor those that were not begun, are failed rows."""
    bulk = Bulk(classifier, Throttled(Service(classifier)))
    bulk.images.fail["get_object"] = ["SlowDown"] * 4
    items = [{"key": "red.jpg"}] * 20
    with pytest.raises(BatchUnfinished, match="20 of 20"):
        bulk.run(items)
    assert bulk.rows() == []


def test_the_name_of_the_exception_is_the_one_that_is_retried() -> None:
    """Lambda's errorType is the name of the class, without its module."""
    assert BatchUnfinished.__name__ == "BatchUnfinished"


def test_an_attempt_that_dies_after_writing_is_repeated_without_reading_images(bulk) -> None:
    items = [{"key": "red.jpg"}, {"key": "missing.jpg"}]
    first = bulk.run(items)
    bulk.images.calls.clear()
    again = bulk.run(items)
    assert bulk.images.calls == []
    assert {**first, "duration_ms": 0} == {**again, "duration_ms": 0}


def test_a_deadline_in_real_time(classifier) -> None:
    """S3 stops answering in every attempt: each ends in its time, and every row is written once."""
    bulk, attempts = Bulk(classifier), 0
    get = bulk.images.get_object
    while True:
        attempts += 1
        answers, ended = threading.Semaphore(25), threading.Event()

        def get_some(answers=answers, ended=ended, **arguments: Any) -> Any:
            if not answers.acquire(blocking=False):
                assert ended.wait(20)
            return get(**arguments)

        bulk.images.get_object = get_some  # type: ignore[method-assign]
        started = time.monotonic()
        try:
            result = bulk.invocations.run(event([{"key": "red.jpg"}] * 60), Context(remaining_ms=1500))
        except BatchUnfinished:
            assert time.monotonic() - started < 1.5
            ended.set()
            continue
        break
    assert 3 <= attempts < 20
    assert [row["index"] for row in bulk.rows()] == list(range(60))
    assert (result["rows"], result["succeeded"]) == (60, 60)


def test_objects_that_s3_throttles_are_read_again(bulk) -> None:
    bulk.images.fail["get_object"] = ["SlowDown", ReadTimeoutError(endpoint_url="https://s3"), "SlowDown"]
    result = bulk.run([{"key": "red.jpg"}] * 6)
    assert (result["succeeded"], result["failed"]) == (6, 0)


def test_a_permanently_unreadable_object_is_a_row(bulk) -> None:
    bulk.images.fail["get_object"] = ["SlowDown"] * 100
    result = bulk.run([{"key": "red.jpg"}] * 2)
    assert result["codes"] == {"s3_unavailable": 2}
    assert len(bulk.failures()) == 2


@pytest.mark.parametrize("operation", ["put_object", "get_object"])
@pytest.mark.parametrize("failure", ["SlowDown", ReadTimeoutError(endpoint_url="https://s3")])
def test_a_results_bucket_that_does_not_respond_fails_the_batch_for_the_retry(bulk, operation, failure) -> None:
    items = [{"key": "red.jpg"}, {"key": "missing.jpg"}]
    bulk.results.fail[operation] = [failure]
    with pytest.raises(BatchUnfinished):
        bulk.run(items)
    assert bulk.run(items)["rows"] == 2
    assert [row["index"] for row in bulk.rows()] == [0, 1]


def test_missing_permissions_are_not_retried(bulk) -> None:
    bulk.results.fail["put_object"] = ["AccessDenied"]
    with pytest.raises(Exception, match="AccessDenied"):
        bulk.run([{"key": "red.jpg"}])


class Faulty:
    """A service that fails unexpectedly on one image."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def classify_many(self, images: Any, **options: Any) -> BatchResult:
        done = self._service.classify_many(images[1:], **{**options, "keep": lambda i, p: options["keep"](i + 1, p)})
        fault = InternalError.from_exception(RuntimeError("secret: s3://photos/red.jpg?token=abc"))
        return BatchResult([fault, *done.outcomes], 0)


def test_an_unexpected_exception_is_a_row_and_an_error_in_the_log(classifier, capsys) -> None:
    bulk = Bulk(classifier, Faulty(Service(classifier)))
    result = bulk.run([{"key": "red.jpg"}, {"key": "blue.jpg"}])
    assert (result["codes"], result["succeeded"]) == ({"internal_error": 1}, 1)
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["level"] == "ERROR"
    assert "RuntimeError" in line["exception"]
    assert "abc" not in line["exception"]


def test_the_log_has_the_stages_of_a_batch(bulk, capsys) -> None:
    bulk.run([{"key": "red.jpg"}, {"key": "blue.jpg"}])
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(line["stages_ms"]) == {"store", "source", "decode", "tensor", "model"}
    assert line["stages_ms"]["model"] + line["stages_ms"]["store"] <= line["duration_ms"] + 1


def test_the_log_names_no_keys(bulk, capsys) -> None:
    bulk.run([{"key": "red.jpg"}, {"key": "missing.jpg"}])
    out = capsys.readouterr().out
    assert "red.jpg" not in out
    assert json.loads(out)["codes"] == {"s3_unreachable": 1}


def test_rows_that_become_too_large_are_problems(bulk, monkeypatch) -> None:
    monkeypatch.setattr(classify, "MAX_ROW_BYTES", 500)
    result = bulk.run([{"key": "red.jpg"}] * 5)
    assert result["rows"] == 5
    assert result["codes"] == {"result_too_large": 5 - result["succeeded"]}
    assert 0 < result["succeeded"] < 5
    # A row has about 190 bytes.
    assert result["succeeded"] == 2


@pytest.mark.parametrize("value", [{}, {"Items": []}, {"action": "summarize"}])
def test_other_events_are_errors(bulk, value) -> None:
    with pytest.raises(ValueError, match="neither"):
        bulk.invocations.run(value, Context())
