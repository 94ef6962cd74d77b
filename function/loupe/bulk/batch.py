"""One batch of a job: the child of the map reads a few hundred items, and writes a row for each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from loupe.batch import WORKERS
from loupe.bulk.classify import classify_items
from loupe.bulk.items import read_item
from loupe.bulk.keys import batch_name, failures_prefix, rows_prefix
from loupe.bulk.rows import BatchCounts, batch_result, failure_line, problem_row, read_rows
from loupe.bulk.store import StoreUnavailableError
from loupe.service import too_late
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loupe.bulk.classify import Rows
    from loupe.bulk.store import ResultStore
    from loupe.models import Models
    from loupe.service import ClassificationService
    from loupe.sources import Sources


class BatchUnfinished(Exception):  # noqa: N818 (the state machine retries this name)
    """Some items of the batch have no row yet: the next attempt continues after the rows that are written."""


class BatchProcessor:
    """Processes batches of jobs.

    Parameters
    ----------
    service
        Of the default model.
    models
        All models of a deployment with several; a job names its own, which its first batch loads.
    report
        Takes what is logged of a batch: the job's id, the result or None, the rows, and the milliseconds by stage.
    """

    def __init__(
        self,
        service: ClassificationService,
        sources: Sources,
        store: ResultStore,
        report: Callable[[str, Mapping[str, Any] | None, Rows, Stages], None],
        models: Models | None = None,
    ) -> None:
        self._service, self._sources, self._store, self._report = service, sources, store, report
        self._models = models

    def run(self, event: Mapping[str, Any], deadline: float, request_id: str) -> dict[str, Any]:
        """Process ``{"BatchInput": {"job": ...}, "Items": [{"index": ..., "item": ...}]}``.

        The rows are one object, whose key depends on the batch's items alone: another attempt overwrites it. An attempt
        that runs out of time writes the rows that it has, and the next one continues from there, so that each makes
        progress.

        Parameters
        ----------
        deadline
            Monotonic seconds until which images are processed; writing the rows comes after it.

        Returns
        -------
        dict
            Counts, see `loupe.bulk.rows.batch_result`.

        Raises
        ------
        BatchUnfinished
            If items are left, or S3 did not take or give the rows.
        """
        started, stages = time.monotonic(), Stages()
        job, items = event["BatchInput"]["job"], event["Items"]
        service = self._service_of(job, stages)
        source, name = job["source"], batch_name(items)
        rows_key = rows_prefix(job["id"]) + name
        read = [read_item(item, source["type"], source["bucket"]) for item in items]
        named = {item.index: item for item in read if item is not None}
        try:
            with stages("store"):
                written = {index: line for index, line in self._existing_rows(rows_key).items() if index in named}
            rows = classify_items(
                service,
                self._sources,
                [item for index, item in named.items() if index not in written],
                top=None if job["top"] == "all" else job["top"],
                deadline=deadline,
                request_id=request_id,
                stages=stages,
            )
            if not rows.lines:
                self._skip_stuck(rows, request_id)
            if rows.unfinished:
                self._fail_attempt(job["id"], rows_key, written, rows, len(named), stages)
            lines = written | rows.lines
            counts = BatchCounts.of(lines.values())
            failures_key = None
            with stages("store"):
                # Failed rows first: an attempt that ends between the two is repeated, and finds no rows.
                if counts.failed:
                    failures_key = failures_prefix(job["id"]) + name
                    failed = sorted(counts.failed_indexes)
                    self._store.write(failures_key, b"".join(failure_line(named[index]) for index in failed))
                if lines:
                    self._store.write(rows_key, _in_order(lines))
        except StoreUnavailableError as error:
            raise BatchUnfinished("S3 did not take or give the rows of the batch in time") from error
        indexes = [item["index"] for item in items]
        result = batch_result(
            range(min(indexes), max(indexes) + 1),
            counts,
            service.model,
            skipped=len(read) - len(named),
            rows_key=rows_key if lines else None,
            failures_key=failures_key,
            milliseconds=(time.monotonic() - started) * 1e3,
        )
        self._report(job["id"], result, rows, stages)
        return result

    def _service_of(self, job: Mapping[str, Any], stages: Stages) -> ClassificationService:
        """Return the service of a job's model; a job that a deployment with one model started names none."""
        if self._models is None or "model" not in job:
            return self._service
        with stages("load"):
            return self._models.service(job["model"])

    @staticmethod
    def _skip_stuck(rows: Rows, request_id: str) -> None:
        """Fail the images that held up an attempt in which none was done: they would stop every other one, too."""
        for item in rows.stuck[:WORKERS]:
            rows.lines[item.index] = problem_row(item, too_late(), request_id)
            rows.unfinished.remove(item)

    def _existing_rows(self, rows_key: str) -> dict[int, bytes]:
        content = self._store.read(rows_key)
        return {} if content is None else read_rows(content)

    def _fail_attempt(
        self, job_id: str, rows_key: str, written: dict[int, bytes], rows: Rows, count: int, stages: Stages
    ) -> None:
        """Write the rows that are final, and fail the rest for the retry."""
        # S3 may give an object to the next attempt; a row that is written is not made again.
        passing = {item.index for item in rows.unavailable}
        lines = written | {index: line for index, line in rows.lines.items() if index not in passing}
        if lines:
            with stages("store"):
                self._store.write(rows_key, _in_order(lines))
        self._report(job_id, None, rows, stages)
        raise BatchUnfinished(f"{count - len(lines)} of {count} images are left")


def _in_order(lines: Mapping[int, bytes]) -> bytes:
    return b"".join(lines[index] for index in sorted(lines))
