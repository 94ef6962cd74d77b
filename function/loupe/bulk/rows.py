"""Rows of the results: one JSON line for each image, with its scores or its problem."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from loupe.http.response import compact, model, scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loupe.bulk.items import Item
    from loupe.errors import Problem
    from loupe.prediction import ModelInfo, Prediction

# Labels of a batch's result: a child's output has at most 256 KiB. Only a multilabel model can give a batch more.
_MAX_LABELS = 1000


def result_row(item: Item, prediction: Prediction, top: int | None) -> bytes:
    """Return the row of a classified image, with the ``top`` highest scores (None: all)."""
    return _line({**_item_fields(item), **scores(prediction, top), "model": model(prediction.model)})


def problem_row(item: Item, problem: Problem, request_id: str) -> bytes:
    """Return the row of an image that failed."""
    return _line({**_item_fields(item), "error": problem.to_dict(request_id)})


def failure_line(item: Item) -> bytes:
    """Return the line by which a new job repeats a failed row: the object, or the row that named none.

    Each line is an object, as the first one of a manifest has to be.
    """
    if item.source is None:
        return _line(item.raw if isinstance(item.raw, dict) else {"row": item.raw})
    return _line({"s3": f"s3://{item.source.bucket}/{item.source.key}"})


def read_rows(content: bytes) -> dict[int, bytes]:
    """Return the rows of a file by their index; the file is one of this module's."""
    return {json.loads(line)["index"]: line + b"\n" for line in content.split(b"\n") if line}


class BatchCounts:
    """Counts of a batch's rows."""

    def __init__(self) -> None:
        self.succeeded, self.failed = 0, 0
        self.failed_indexes: list[int] = []
        self.labels: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    @classmethod
    def of(cls, rows: Iterable[bytes]) -> BatchCounts:
        """Count rows."""
        counts = cls()
        for row in map(json.loads, rows):
            if "error" in row:
                counts.failed += 1
                counts.failed_indexes.append(row["index"])
                counts.codes[row["error"]["code"]] += 1
            else:
                counts.succeeded += 1
                counts.labels.update(row.get("labels", [row["label"]]))
        return counts


def batch_result(
    indexes: range,
    counts: BatchCounts,
    info: ModelInfo,
    *,
    skipped: int,
    rows_key: str | None,
    failures_key: str | None,
    milliseconds: float,
) -> dict[str, Any]:
    """Return the output of a map's child: small, and enough for the summary of the job."""
    return {
        "first": indexes.start,
        "last": indexes.stop - 1,
        "rows": counts.succeeded + counts.failed,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "skipped": skipped,
        "labels": dict(counts.labels.most_common(_MAX_LABELS)),
        "codes": dict(counts.codes),
        "rows_key": rows_key,
        "failures_key": failures_key,
        "model": model(info),
        "duration_ms": round(milliseconds, 1),
    }


def _item_fields(item: Item) -> Mapping[str, Any]:
    if item.source is None:
        return {"index": item.index, "bucket": None, "key": None}
    return {"index": item.index, "bucket": item.source.bucket, "key": item.source.key}


def _line(value: Any) -> bytes:
    return compact(value).encode() + b"\n"
