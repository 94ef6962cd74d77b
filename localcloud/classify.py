"""Classify a folder: upload it, run a real bulk job over it, write its rows."""

from __future__ import annotations

import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from localcloud.jobs import Jobs

# Formats that the function reads; other files of the folder are left out and counted.
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff",
})  # fmt: skip
UPLOADS_AT_ONCE = 8
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """A job over a folder.

    Attributes
    ----------
    seconds
        Of the job, without the upload.
    left_out
        Files of the folder with other suffixes.
    """

    job: Mapping[str, Any]
    images: int
    failed: int
    left_out: int
    seconds: float


def find_images(folder: Path) -> tuple[list[Path], int]:
    """Return the images of a folder and its subfolders in order, and how many other files it has.

    Raises
    ------
    CloudError
        If there is no such folder, it has no images, or a name is not UTF-8.
    """
    if not folder.is_dir():
        raise CloudError(f"{folder} is not a folder.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
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

    An interrupt stops the job and raises KeyboardInterrupt; what it had finished is written.

    Raises
    ------
    CloudError
        If the folder has no images, or the job fails.
    """
    images, left_out = find_images(folder)
    output.parent.mkdir(parents=True, exist_ok=True)
    run = uuid.uuid4().hex
    keys = [f"inputs/classify/{run}/{path.relative_to(folder).as_posix()}" for path in images]
    _upload(images, keys, jobs.bucket, s3, progress)
    manifest = f"inputs/classify/{run}.jsonl"
    body = "".join(json.dumps({"key": key}, ensure_ascii=False) + "\n" for key in keys)
    s3.put_object(Bucket=jobs.bucket, Key=manifest, Body=body.encode())
    begun = time.monotonic()
    job = jobs.start(manifest, run)
    try:
        job = _await(jobs, job["id"], len(images), progress)
    except BaseException:
        # Also for an interrupt: a job that nobody waits for would run on.
        jobs.stop(job["id"])
        _write(output, jobs, job["id"], images, folder)
        raise
    seconds = time.monotonic() - begun
    failed = _write(output, jobs, job["id"], images, folder)
    if job["state"] != "succeeded":
        why = (job.get("error") or {}).get("detail", "no reason is given")
        raise CloudError(f"The job {job['id']} is {job['state']}: {why} What it finished is in {output}.")
    return Outcome(job, len(images), failed, left_out, seconds)


def _upload(
    images: Sequence[Path], keys: Sequence[str], bucket: str, s3: Any, progress: Callable[[str, int, int], None]
) -> None:
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        uploads = [
            pool.submit(partial(s3.upload_file, str(path), bucket, key)) for path, key in zip(images, keys, strict=True)
        ]
        for number, upload in enumerate(uploads, start=1):
            upload.result()
            progress("upload", number, len(images))


def _await(jobs: Jobs, job_id: str, images: int, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
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
