"""ItemBatcher: group items into inputs of child executions.

Source: Step Functions developer guide, 'ItemBatcher (Map)'; Amazon States Language, 'ItemBatcher'.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.limits import DATA_LIMIT_EXCEEDED, StatesError, check_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class ChildInput:
    """The input of one child execution and how many items it holds."""

    text: str
    items: int


@dataclass(frozen=True)
class Batcher:
    """An ItemBatcher whose paths are resolved; at least one of the limits is set.

    Attributes
    ----------
    max_bytes
        Of the serialized items of a batch.
    fixed
        BatchInput, merged into every child's input; None for none.
    """

    max_items: int | None
    max_bytes: int | None
    fixed: Any = None

    def batches(self, items: Iterable[Any]) -> Iterator[ChildInput]:
        """Inputs of child executions, in the order of the items.

        Raises
        ------
        StatesError
            ``States.DataLimitExceeded`` if an item is larger than a batch, or an input than a child may have.
        """
        batch: list[str] = []
        size = 0
        for item in items:
            text = encode(item)
            length = len(text.encode()) + 1
            if self.max_bytes and length + 1 > self.max_bytes:
                message = f"An item of {length - 1} bytes does not fit a batch of {self.max_bytes} bytes."
                raise StatesError(DATA_LIMIT_EXCEEDED, message)
            if batch and (
                (self.max_items and len(batch) >= self.max_items)
                or (self.max_bytes and size + length + 1 > self.max_bytes)
            ):
                yield self._input(batch)
                batch, size = [], 0
            batch.append(text)
            size += length
        if batch:
            yield self._input(batch)

    def _input(self, batch: list[str]) -> ChildInput:
        fixed = "" if self.fixed is None else f'"BatchInput":{encode(self.fixed)},'
        return checked(f'{{{fixed}"Items":[{",".join(batch)}]}}', len(batch))


def one_by_one(items: Iterable[Any]) -> Iterator[ChildInput]:
    """Without an ItemBatcher every item is a child's input."""
    for item in items:
        yield checked(encode(item), 1)


def checked(text: str, items: int) -> ChildInput:
    check_payload(text, "input of a child workflow execution")
    return ChildInput(text, items)


def encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
