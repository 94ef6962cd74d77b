"""The card's JSON Schema, with violations as sentences."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from modelkit.folders import MODELS_DIR, PACKAGED

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_PATH = (PACKAGED if PACKAGED.is_dir() else MODELS_DIR) / "card.schema.json"


@lru_cache(maxsize=2)
def validator(path: Path = SCHEMA_PATH) -> Draft202012Validator:
    """Return the validator of the project's schema."""
    schema = json.loads(path.read_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def violations(raw: Any) -> list[str]:
    """Return a sentence for each violation of the schema."""
    errors = sorted(validator().iter_errors(raw), key=lambda error: list(map(str, error.absolute_path)))
    return [_sentence(error) for error in errors]


def _sentence(error: ValidationError) -> str:
    inner = best_match(error.context) if error.context else None
    message = (inner or error).message
    where = ".".join(str(part) for part in error.absolute_path) or "the card"
    if len(message) > 200:
        message = message[:200] + " ..."
    return f"{where}: {message}."
