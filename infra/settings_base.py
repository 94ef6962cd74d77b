"""What every section of the settings is made of."""

from __future__ import annotations

import re

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A part of an environment's settings: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def text(pattern: str, allowed: str) -> AfterValidator:
    """Return a validator that says what is allowed in words, where pydantic's own would show the pattern."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {allowed} (it is {value!r})")
        return value

    return AfterValidator(check)
