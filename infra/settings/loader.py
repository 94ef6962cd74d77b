"""Read an environment from the context of ``cdk.json``.

``-c env=<name>`` selects one of ``context.environments``. ``"extends": "prod"`` makes an environment a JSON merge patch
(RFC 7386) over another one; ``-c settings='{"model": {"name": "course"}}'`` is a merge patch over either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from infra.settings.base import SettingsError
from infra.settings.environment import Settings
from infra.settings.messages import sentences


def load_settings(
    context: Mapping[str, Any],
    name: str,
    patch: str | Mapping[str, Any] | None = None,
    *,
    environment: str | None = None,
    images: Mapping[str, Any] | None = None,
) -> Settings:
    """Read an environment from the context of ``cdk.json``.

    Parameters
    ----------
    context
        ``{"environments": {name: {...}}}``.
    name
        The environment.
    patch
        JSON merge patch, as text or as an object.
    environment
        Name of the deployed environment, if it is a copy of ``name``: ``-c name=...``.
    images
        Merge patch for the images that a delivery pushed, applied after ``patch``.

    Raises
    ------
    SettingsError
        With one line per invalid key: its path, the error and the allowed values.
    """
    environments = context.get("environments")
    if not isinstance(environments, dict) or name not in environments:
        available = ", ".join(sorted(environments)) if isinstance(environments, dict) else "none"
        raise SettingsError(f"cdk.json has no environment {name!r}. Choose one with -c env=...: {available}.")
    values: Any = _extended(environments, name, ())
    if patch:
        try:
            values = merge_patch(values, json.loads(patch) if isinstance(patch, str) else dict(patch))
        except ValueError as error:
            raise SettingsError(f"-c settings=... is not valid JSON: {error}.") from None
    if images:
        values = merge_patch(values, images)
    if not isinstance(values, dict):
        raise SettingsError(f"environments.{name} in cdk.json must be an object.")
    if "environment" in values:
        raise SettingsError(f"environments.{name}.environment: the key {name!r} above it is the environment's name.")
    if "local" in (name, environment) and environment not in (None, name):
        raise SettingsError("-c name=... makes a copy of an environment on AWS: neither may be 'local'.")
    try:
        # Validated as JSON: strict mode converts lists to tuples there, and nothing else.
        return Settings.model_validate_json(json.dumps({**values, "environment": environment or name}))
    except ValidationError as error:
        raise SettingsError("\n".join(sentences(Settings, ("environments", name), error))) from None


def _extended(environments: Mapping[str, Any], name: str, descendants: tuple[str, ...]) -> Any:
    """Return an environment's values, merged over those of the environment that it extends."""
    values = environments[name]
    if not isinstance(values, dict) or "extends" not in values:
        return values
    base, descendants = values["extends"], (*descendants, name)
    if not isinstance(base, str) or base not in environments:
        others = ", ".join(sorted(set(environments) - {name}))
        raise SettingsError(f"environments.{name}.extends: must be another environment: {others} (it is {base!r}).")
    if base in descendants:
        raise SettingsError(f"environments.{name}.extends: {' extends '.join((*descendants, base))}, which never ends.")
    return merge_patch(
        _extended(environments, base, descendants), {key: value for key, value in values.items() if key != "extends"}
    )


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386): null deletes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
