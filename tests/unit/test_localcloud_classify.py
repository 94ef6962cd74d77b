"""A folder through a bulk job: its rows with the names of its files, and an interrupt that stops the job."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loupe.bulk.items import IMAGE_EXTENSIONS

from localcloud import classify
from localcloud.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeS3:
    """Keeps what is uploaded."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def upload_file(self, path: str, _bucket: str, key: str) -> None:
        self.objects[key] = Path(path).read_bytes()

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - boto3's names
        self.objects[Key] = Body

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> None:  # noqa: N803
        for entry in Delete["Objects"]:
            self.objects.pop(entry["Key"], None)


class FakeJobs:
    """A job whose states are given: an exception among them is raised when the job is looked at."""

    bucket = "results"

    def __init__(self, states: list[Any], rows: list[dict[str, Any]]) -> None:
        self.states, self._rows = states, rows
        self.manifests: list[str] = []
        self.keys: list[str] = []
        self.start_errors: list[BaseException] = []
        self.stopped: list[str] = []

    def start(self, key: str, idempotency_key: str) -> dict[str, Any]:
        self.manifests.append(key)
        self.keys.append(idempotency_key)
        if self.start_errors:
            raise self.start_errors.pop()
        return {"id": "job", "state": "running"}

    def show(self, job_id: str) -> dict[str, Any]:
        state = self.states.pop(0)
        if isinstance(state, BaseException):
            raise state
        progress = {"processed": len(self._rows)}
        return {"id": job_id, "state": state, "progress": progress, "error": {"detail": "the reason"}}

    def stop(self, job_id: str) -> dict[str, Any]:
        self.stopped.append(job_id)
        return {}

    def rows(self, _job_id: str) -> Iterator[dict[str, Any]]:
        return iter(self._rows)


def test_a_name_that_is_not_utf_8_is_reported_clearly(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.jpg").write_bytes(b"")
    with pytest.raises(CloudError, match=r"caf\\xe9\.jpg' has a name that is not UTF-8"):
        classify.find_images(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    (images / "more").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "more/c é.webp", "notes.txt"):
        (images / name).write_bytes(name.encode())
    return images


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "POLL_SECONDS", 0.0)


def silent(_step: str, _done: int, _of: int) -> None:
    pass


def run(folder: Path, jobs: Any, s3: Any) -> classify.Outcome:
    return classify.classify(folder, folder.parent / "out" / "results.jsonl", jobs, s3, silent)


def written(folder: Path) -> list[dict[str, Any]]:
    lines = (folder.parent / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_rows_have_the_paths_of_their_files_in_order(folder: Path) -> None:
    s3 = FakeS3()
    rows = [{"index": 2, "error": {}}, {"index": 0, "label": "curly"}, {"index": 1, "label": "straight"}]
    outcome = run(folder, FakeJobs(["running", "succeeded"], rows), s3)
    assert [row["file"] for row in written(folder)] == ["a.PNG", "b.jpg", "more/c é.webp"]
    assert (outcome.images, outcome.failed, outcome.left_out) == (3, 1, 1)


def test_the_manifest_names_the_uploaded_images(folder: Path) -> None:
    s3, jobs = FakeS3(), FakeJobs(["succeeded"], [])
    run(folder, jobs, s3)
    (manifest,) = jobs.manifests
    keys = [json.loads(line)["key"] for line in s3.objects[manifest].splitlines()]
    assert [s3.objects[key].decode() for key in keys] == ["a.PNG", "b.jpg", "more/c é.webp"]
    assert manifest.startswith("inputs/classify/")


def test_ctrl_c_stops_the_job_and_writes_what_it_finished(folder: Path) -> None:
    jobs, s3 = FakeJobs(["running", KeyboardInterrupt()], [{"index": 1, "label": "curly"}]), FakeS3()
    with pytest.raises(KeyboardInterrupt):
        run(folder, jobs, s3)
    assert jobs.stopped == ["job"]
    assert s3.objects == {}
    assert written(folder) == [{"file": "b.jpg", "index": 1, "label": "curly"}]


def test_a_job_that_cannot_be_followed_is_stopped(folder: Path) -> None:
    jobs = FakeJobs(["running", CloudError("no answer")], [])
    with pytest.raises(CloudError, match="no answer"):
        run(folder, jobs, FakeS3())
    assert jobs.stopped == ["job"]


def test_a_failed_job_is_an_error_with_its_reason_and_is_not_stopped(folder: Path) -> None:
    jobs = FakeJobs(["failed"], [{"index": 0, "label": "curly"}])
    with pytest.raises(CloudError, match=r"is failed: the reason.*results\.jsonl"):
        run(folder, jobs, FakeS3())
    assert jobs.stopped == []
    assert len(written(folder)) == 1


def test_a_folder_without_images_starts_no_job(tmp_path: Path) -> None:
    jobs = FakeJobs([], [])
    with pytest.raises(CloudError, match="no images"):
        classify.classify(tmp_path, tmp_path / "results.jsonl", jobs, FakeS3(), silent)
    assert jobs.manifests == []


def test_ctrl_c_during_the_start_stops_the_job_that_it_may_have_started(folder: Path) -> None:
    jobs, s3 = FakeJobs([], []), FakeS3()
    jobs.start_errors = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run(folder, jobs, s3)
    assert jobs.stopped == ["job"]
    assert jobs.keys[0] == jobs.keys[1]
    assert s3.objects == {}


def test_a_job_that_is_rejected_is_neither_repeated_nor_stopped(folder: Path) -> None:
    jobs, s3 = FakeJobs([], []), FakeS3()
    jobs.start_errors = [CloudError("POST /v1/jobs answered HTTP 400")]
    with pytest.raises(CloudError, match="HTTP 400"):
        run(folder, jobs, s3)
    assert (len(jobs.manifests), jobs.stopped, s3.objects) == (1, [], {})


def test_ctrl_c_during_the_upload_ends_it_and_deletes_what_was_uploaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (folder / f"{number}.jpg").write_bytes(b"")
    monkeypatch.setattr(classify, "UPLOADS_AT_ONCE", 1)
    jobs, s3, uploaded = FakeJobs([], []), FakeS3(), threading.Event()

    def interrupt(_step: str, _done: int, _of: int) -> None:
        uploaded.set()
        raise KeyboardInterrupt

    class SlowS3(FakeS3):
        started = 0

        def upload_file(self, path: str, bucket: str, key: str) -> None:
            self.started += 1
            if self.started > 1:
                uploaded.wait(5)
            super().upload_file(path, bucket, key)

    s3 = SlowS3()
    with pytest.raises(KeyboardInterrupt):
        classify.classify(folder, folder.parent / "results.jsonl", jobs, s3, interrupt)
    assert s3.started < 50
    assert (s3.objects, jobs.manifests) == ({}, [])


def test_hidden_files_and_folders_are_left_out(folder: Path) -> None:
    for name in ("._a.jpg", ".venv/logo.png", "more/.thumbnails/c.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    images, left_out = classify.find_images(folder)
    assert ([path.name for path in images], left_out) == (["a.PNG", "b.jpg", "c é.webp"], 4)


def test_a_folder_below_a_hidden_one_is_read(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.jpg").write_bytes(b"")
    assert len(classify.find_images(tmp_path / ".cache")[0]) == 1


def test_the_same_extensions_are_images_as_below_a_prefix() -> None:
    assert {suffix.removeprefix(".") for suffix in classify.SUFFIXES} == IMAGE_EXTENSIONS


def test_names_that_are_no_keys_are_classified(folder: Path) -> None:
    (folder / "new\nline.jpg").write_bytes(b"")
    s3, jobs = FakeS3(), FakeJobs(["succeeded"], [{"index": 3, "label": "curly"}])
    run(folder, jobs, s3)
    assert all(key.isascii() and key.isprintable() for key in s3.objects)
    assert [row["file"] for row in written(folder)] == ["new\nline.jpg"]


def test_an_output_that_cannot_be_written_is_an_error_before_the_upload(folder: Path) -> None:
    s3 = FakeS3()
    with pytest.raises(CloudError, match=r"cannot be written \(Is a directory\)"):
        classify.classify(folder, folder, FakeJobs([], []), s3, silent)
    assert s3.objects == {}


def test_a_file_that_cannot_be_read_is_an_error_with_its_name(folder: Path) -> None:
    class NoFile(FakeS3):
        def upload_file(self, path: str, bucket: str, key: str) -> None:
            if path.endswith("b.jpg"):
                raise PermissionError(13, "Permission denied")
            super().upload_file(path, bucket, key)

    s3 = NoFile()
    with pytest.raises(CloudError, match=r"b\.jpg cannot be read \(Permission denied\)"):
        run(folder, FakeJobs([], []), s3)
    assert s3.objects == {}
