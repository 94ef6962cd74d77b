"""Validation errors of pydantic as sentences: the key's path, what is wrong, what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def sentences(model: type[BaseModel], path: tuple[str, ...], error: ValidationError) -> Iterator[str]:
    """Return a sentence for each error, without those that only follow from another one.

    Parameters
    ----------
    path
        Where the model's values stand: the beginning of every key's path.
    """
    return (_sentence(model, path, item) for item in _causes(error))


def _causes(error: ValidationError) -> list[Any]:
    """Drop consequences of other errors: a default that needs the wrong value, a list without its wrong items."""
    errors = error.errors(include_url=False)
    wrong = {item["loc"][:-1] for item in errors}
    return [
        item
        for item in errors
        if item["type"] != "default_factory_not_called" and not (item["type"] == "too_short" and item["loc"] in wrong)
    ]


def _sentence(model: type[BaseModel], root: tuple[str, ...], error: Any) -> str:
    path = ".".join([*root, *(str(part) for part in error["loc"])])
    if error["type"] == "extra_forbidden":
        keys = ", ".join(_known_keys(model, error["loc"][:-1]))
        return f"{path}: there is no such key. Known here: {keys}."
    if error["type"] == "too_short":
        return f"{path}: must have at least {error['ctx']['min_length']} (it has {error['ctx']['actual_length']})."
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if error["type"] == "value_error" or isinstance(error["input"], dict):
        return f"{path}: {message}."
    return f"{path}: {message} (it is {error['input']!r})."


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        # Anything but a field is a key of a mapping or an index of a list.
        if field := model.model_fields.get(str(part)):
            section = _section(field.annotation)
            if section is None:
                return []
            model = section
    return sorted(set(model.model_fields) - {"environment"})


def _section(annotation: Any) -> type[BaseModel] | None:
    """Find the section in an annotation such as ``dict[str, Section]`` or ``Section | None``."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(_section, get_args(annotation))), None)
