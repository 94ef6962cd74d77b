"""Which answers were right: a CSV file of request ids and labels."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from modelkit.errors import ModelkitError

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("request_id", "label", "image", "unit")
# Held in memory, about 250 bytes each.
MAX_ROWS = 2_000_000
# Between the labels of a multilabel model.
SEPARATOR = "|"


class Truth(NamedTuple):
    """Ground truth of one request.

    Attributes
    ----------
    label
        The right label; of a multilabel model all of them, with ``|`` between.
    image
        Identifier of the image, such as a file name: requests of one image are compared. '' if unknown.
    unit
        Identifier of the unit that arms are assigned to, such as a caller: its requests are not independent. '' if
        unknown: each request counts for itself.
    """

    label: str
    image: str = ""
    unit: str = ""

    def is_right(self, label: str | None, labels: tuple[str, ...] | None) -> bool:
        """Whether an answer is this one: its label, or all labels of a multilabel model."""
        if labels is not None:
            return set(labels) == {part.strip() for part in self.label.split(SEPARATOR) if part.strip()}
        return label == self.label


def read_labels(path: Path) -> dict[str, Truth]:
    """Read a CSV file with the columns ``request_id`` and ``label``, and optionally ``image`` and ``unit``.

    Raises
    ------
    modelkit.errors.ModelkitError
        If it is no such file, or says two things about one request.
    """
    truths: dict[str, Truth] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            if not rows.fieldnames or not {"request_id", "label"} <= set(rows.fieldnames):
                raise ModelkitError(
                    f"{path}: the first line must be request_id,label, and may have image and unit as well."
                )
            for row in rows:
                values = {name: (row.get(name) or "").strip() for name in COLUMNS}
                request_id = values.pop("request_id")
                truth = Truth(**values)
                if not request_id or truths.setdefault(request_id, truth) != truth:
                    mistake = "has no request_id" if not request_id else "says something else about an earlier request"
                    raise ModelkitError(f"{path}:{rows.line_num}: the row {mistake}.")
                if len(truths) > MAX_ROWS:
                    raise ModelkitError(f"{path} has more than {MAX_ROWS:,} rows: compare a part of the traffic.")
        except UnicodeDecodeError:
            raise ModelkitError(f"{path} is not UTF-8: save it as UTF-8.") from None
        except csv.Error as error:
            raise ModelkitError(f"{path}:{rows.line_num}: not CSV ({error}).") from None
    if not truths:
        raise ModelkitError(f"{path} has no rows.")
    return truths
