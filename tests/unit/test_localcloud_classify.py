"""A folder through a bulk job: its rows with the names of its files, and an interrupt that stops the job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

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


class FakeJobs:
    """A job whose states are given: an exception among them is raised when the job is looked at."""

    bucket = "results"

    def __init__(self, states: list[Any], rows: list[dict[str, Any]]) -> None:
        self.states, self._rows = states, rows
        self.manifests: list[str] = []
        self.stopped: list[str] = []

    def start(self, key: str, _idempotency_key: str) -> dict[str, Any]:
        self.manifests.append(key)
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


def test_a_name_that_is_not_utf_8_is_a_sentence(tmp_path: Path) -> None:
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
    jobs = FakeJobs(["running", KeyboardInterrupt()], [{"index": 1, "label": "curly"}])
    with pytest.raises(KeyboardInterrupt):
        run(folder, jobs, FakeS3())
    assert jobs.stopped == ["job"]
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
