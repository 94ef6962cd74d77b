"""Classify a folder: upload it, run a real bulk job over it, write its rows."""

from __future__ import annotations

import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from localcloud.jobs import Jobs

# Extensions of images, as a job over a prefix reads them; other files of the folder are left out and counted.
SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jfif", ".jpe", ".jpeg",
    ".jpg", ".pjp", ".pjpeg", ".png", ".tif", ".tiff", ".webp",
})  # fmt: skip
UPLOADS_AT_ONCE = 8
# The most that DeleteObjects takes (S3 API reference).
KEYS_OF_A_REQUEST = 1000
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """A job over a folder.

    Attributes
    ----------
    seconds
        Of the job, without the upload.
    left_out
        Hidden files of the folder, and those with other suffixes.
    """

    job: Mapping[str, Any]
    images: int
    failed: int
    left_out: int
    seconds: float


def find_images(folder: Path) -> tuple[list[Path], int]:
    """Return the images of a folder and its subfolders in order, and how many other files it has.

    Hidden files and folders are left out, such as ``._photo.jpg`` and the packages in ``.venv``. Links to folders are
    not followed.

    Raises
    ------
    CloudError
        If there is no such folder, it has no images, or a name is not UTF-8.
    """
    if not folder.is_dir():
        raise CloudError(f"{folder} is not a folder.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    images = [
        path
        for path in files
        if path.suffix.lower() in SUFFIXES and not any(part[0] == "." for part in path.relative_to(folder).parts)
    ]
    if not images:
        raise CloudError(f"{folder} has no images ({', '.join(sorted(SUFFIXES))}).")
    for path in images:
        if not _is_unicode(path.relative_to(folder).as_posix()):
            raise CloudError(f"{os.fsencode(path)!r} has a name that is not UTF-8, as keys of S3 are: rename the file.")
    return images, len(files) - len(images)


def _is_unicode(name: str) -> bool:
    """Whether a name has no surrogates, which stand for bytes that are not UTF-8 (PEP 383)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def classify(folder: Path, output: Path, jobs: Jobs, s3: Any, progress: Callable[[str, int, int], None]) -> Outcome:
    """Classify the images of a folder; the output has a JSON line for each, in the order of their paths.

    An interrupt stops the job, writes the rows that it had, deletes the uploaded images and raises KeyboardInterrupt.

    Raises
    ------
    CloudError
        If the folder has no images, a file cannot be read or written, or the job fails.
    """
    images, left_out = find_images(folder)
    _check_output(output)
    run = uuid.uuid4().hex
    # By number: a file's name may be longer than a key, or have control characters.
    keys = [f"inputs/classify/{run}/{number:09}{path.suffix.lower()}" for number, path in enumerate(images)]
    manifest = f"inputs/classify/{run}.jsonl"
    with ExitStack() as undo:
        # After an error or an interrupt no job reads these.
        undo.callback(_delete, [*keys, manifest], jobs.bucket, s3)
        try:
            _upload(images, keys, jobs.bucket, s3, progress)
            body = "".join(json.dumps({"key": key}) + "\n" for key in keys)
            s3.put_object(Bucket=jobs.bucket, Key=manifest, Body=body.encode())
            started = time.monotonic()
            job = _run(jobs, manifest, run, partial(_await, jobs, images=len(images), progress=progress))
        except _Stopped as stopped:
            _write(output, jobs, stopped.job_id, images, folder)
            raise stopped.error from None
        undo.pop_all()
    seconds = time.monotonic() - started
    failed = _write(output, jobs, job["id"], images, folder)
    if job["state"] != "succeeded":
        why = (job.get("error") or {}).get("detail", "no reason is given")
        raise CloudError(f"The job {job['id']} is {job['state']}: {why} What it finished is in {output}.")
    return Outcome(job, len(images), failed, left_out, seconds)


class _Stopped(Exception):  # noqa: N818 (``error`` is the error)
    """The job was stopped because of an error: an interrupt, or it could not be followed."""

    def __init__(self, job_id: str, error: BaseException) -> None:
        super().__init__(job_id)
        self.job_id, self.error = job_id, error


def _run(jobs: Jobs, manifest: str, idempotency_key: str, wait: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Start a job and return it when it has ended. An exception or interrupt meanwhile stops the job."""
    job_id = ""
    try:
        job_id = jobs.start(manifest, idempotency_key)["id"]
        return wait(job_id)
    except BaseException as error:
        if not job_id and isinstance(error, CloudError):
            raise
        # The same key returns the job of a start whose answer was interrupted.
        job_id = job_id or jobs.start(manifest, idempotency_key)["id"]
        jobs.stop(job_id)
        raise _Stopped(job_id, error) from error


def _check_output(output: Path) -> None:
    """Raise CloudError for a file that cannot be written: better before the job than after it."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.open("a").close()
    except OSError as error:
        raise CloudError(f"{output} cannot be written ({error.strerror}): name another file with --output.") from error


def _upload(
    images: Sequence[Path], keys: Sequence[str], bucket: str, s3: Any, progress: Callable[[str, int, int], None]
) -> None:
    # Leaving the pool waits for what it has not begun, too: after an error or an interrupt, that is cancelled first.
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool, ExitStack() as undo:
        undo.callback(pool.shutdown, wait=False, cancel_futures=True)
        uploads = [
            pool.submit(partial(s3.upload_file, str(path), bucket, key)) for path, key in zip(images, keys, strict=True)
        ]
        for number, (path, upload) in enumerate(zip(images, uploads, strict=True), start=1):
            try:
                upload.result()
            except OSError as error:
                raise CloudError(f"{path} cannot be read ({error.strerror}).") from error
            progress("upload", number, len(images))


def _delete(keys: Sequence[str], bucket: str, s3: Any) -> None:
    for start in range(0, len(keys), KEYS_OF_A_REQUEST):
        part = [{"Key": key} for key in keys[start : start + KEYS_OF_A_REQUEST]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": part, "Quiet": True})


def _await(jobs: Jobs, job_id: str, *, images: int, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    while True:
        job = jobs.show(job_id)
        done = (job.get("progress") or {}).get("processed", 0)
        progress("classify", done, images)
        if job["state"] != "running":
            return job
        time.sleep(POLL_SECONDS)


def _write(output: Path, jobs: Jobs, job_id: str, images: Sequence[Path], folder: Path) -> int:
    """Write the rows with the paths of their files; return how many are problems."""
    rows = {row["index"]: row for row in jobs.rows(job_id)}
    failed = 0
    with output.open("w", encoding="utf-8") as file:
        for index in sorted(rows):
            row = rows[index]
            failed += "error" in row
            line = {"file": images[index].relative_to(folder).as_posix(), **row}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return failed
