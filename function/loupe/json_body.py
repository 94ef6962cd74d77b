"""Parse a JSON object from a body, with the position of an error."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from loupe.errors import RequestInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

# A plausible field name. API keys and tokens are longer, or have more digits.
_FIELD_NAME = re.compile(r"(?=.{1,20}\Z)[A-Za-z_-]+[0-9]{0,2}")


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises
    ------
    loupe.errors.RequestInvalid
        If it is not valid JSON (with line and column), not an object, or has a key more than once.
    """
    try:
        value = json.loads(body, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        # Its text may contain a character of the body.
        reason = error.msg.partition(":")[0]
        raise RequestInvalid(
            f"The body is not valid JSON: {reason}, at line {error.lineno}, column {error.colno}."
        ) from None
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"The body is not valid JSON: it is not UTF-8, at byte {error.start}.") from None
    except ValueError:
        raise RequestInvalid("The body is not valid JSON: a number has too many digits.") from None
    except RecursionError:
        raise RequestInvalid("The body is not valid JSON for this endpoint: it is nested too deeply.") from None
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a text", type(None): "null", bool: "true or false"}.get(type(value), "a number")
        raise RequestInvalid(f"The JSON must be an object, not {kind}.")
    return value


def shown(key: object) -> str:
    """Return a client's key for a message: the key if it looks like a field name, otherwise its length.

    A key may contain a secret, by mistake or by a broken client, and messages are copied into logs and tickets.
    """
    text = str(key)
    return f'"{text}"' if _FIELD_NAME.fullmatch(text) else f"of {len(text)} characters"


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise RequestInvalid(f"The JSON has the key {shown(name)} more than once.")
            names.add(name)
    return value
