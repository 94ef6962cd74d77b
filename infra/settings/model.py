"""Settings of the models that are served."""

from __future__ import annotations

from typing import Annotated, Literal

from infra.settings.base import Section, text

ModelName = Annotated[
    str, text(r"[a-z0-9][a-z0-9._-]{0,62}", "the name of a folder in models/: small letters, digits, . _ -")
]


class ModelSettings(Section):
    """The model that serves requests without a model name: a folder of ``models/``."""

    name: ModelName = "hair-type"


class ServedModel(Section):
    """One of several models: loaded at INIT, or by the first request that names it."""

    name: ModelName
    load: Literal["init", "first-use"] = "init"


def models_conflict(default: str, models: tuple[ServedModel, ...]) -> str | None:
    """Return why these models cannot be served together, or None."""
    names = [model.name for model in models]
    if not models:
        return None
    if len(set(names)) < len(names):
        return "models must name each model once"
    if default not in names:
        return f"models must have the default, model.name {default!r} (they are {', '.join(names)}): add it"
    if next(model.load for model in models if model.name == default) != "init":
        return f"models: the default, {default!r}, is loaded at INIT: leave its load out"
    if len(models) == 1:
        return "models has one model: name it in model.name and leave models out"
    return None
