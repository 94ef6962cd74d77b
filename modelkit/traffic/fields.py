"""Rows of a Logs Insights query as the objects that they were made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MESSAGE = "@message"
# Fields that the function writes as numbers, truth values or objects; a query returns texts.
_JSON_FIELDS = frozenset(
    {
        "duration_ms",
        "probability",
        "cold_start",
        "items",
        "agreement",
        "difference",
        "champion_model_ms",
        "item_codes",
        "item_labels",
    }
)
_NESTED = ("stages_ms", "item_codes", "item_labels")


def of_row(pairs: Iterable[tuple[str, Any]]) -> str | Mapping[str, Any]:
    """Return the text of a row's ``@message``; without it, the fields that the query names as the line's object.

    A field such as ``stages_ms.model`` becomes part of the object ``stages_ms``. Empty values are left out.
    """
    value: dict[str, Any] = {}
    for name, content in pairs:
        if name == _MESSAGE and content:
            return content if isinstance(content, str) else json.dumps(content)
        if content in (None, ""):
            continue
        outer, dot, inner = name.partition(".")
        if dot and outer in _NESTED:
            nested = value.setdefault(outer, {})
            if isinstance(nested, dict):
                nested[inner] = _value(content)
        else:
            value[name] = _value(content) if name in _JSON_FIELDS else content
    return value


def _value(content: Any) -> Any:
    """Return what a text such as ``12.5`` or ``true`` says; other texts as they are."""
    if not isinstance(content, str) or len(content) > 10_000:
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content
