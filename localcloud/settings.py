"""Settings of environment ``local`` that a command line changes: a JSON merge patch over cdk.json (RFC 7386)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.settings import Settings, SettingsError, load_settings
from localcloud.errors import CloudError
from localcloud.state import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENVIRONMENT = "local"


def overrides(document: str | None, assignments: Iterable[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """Merge, in this order: ``LOUPE_MODEL``, a JSON document, and ``path=value`` assignments.

    Values of assignments are JSON where they read as such (``5``, ``true``, ``["a"]``), else text.

    Raises
    ------
    CloudError
        For a document or an assignment that cannot be read.
    """
    merged: dict[str, Any] = {}
    if model := variables.get("LOUPE_MODEL"):
        merged = {"model": {"name": model}}
    if document:
        merged = compose(merged, _document(document))
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        keys = path.split(".")
        if not separator or not all(keys):
            raise CloudError(f"--set {assignment!r} is not path=value, such as model.name=hair-type.")
        value = _value(text)
        for key in reversed(keys):
            value = {key: value}
        merged = compose(merged, value)
    return merged


def compose(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Combine two merge patches into one. Null is kept, unlike in a merged document, because it deletes.

    >>> compose({"a": {"b": 1, "c": 2}}, {"a": {"b": None}})
    {'a': {'b': None, 'c': 2}}
    """
    composed = dict(first)
    for key, value in second.items():
        current = composed.get(key)
        composed[key] = compose(current, value) if isinstance(current, dict) and isinstance(value, dict) else value
    return composed


def effective(patch: Mapping[str, Any]) -> Settings:
    """The settings of environment ``local`` as the stack will read them.

    Raises
    ------
    CloudError
        With the message that synth prints for a setting that cannot be deployed.
    """
    try:
        context = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))["context"]
        return load_settings(context, ENVIRONMENT, json.dumps(patch))
    except (OSError, KeyError, SettingsError, ValueError) as error:
        raise CloudError(f"The settings cannot be deployed: {error}") from error


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise CloudError(f"--settings is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise CloudError("--settings must be a JSON object.")
    return document


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
