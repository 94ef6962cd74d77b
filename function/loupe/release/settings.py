"""Settings of the release functions: the version that is released and the bounds that it has to keep."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from loupe.card import NAME_PATTERN
from loupe.variables import SettingsError, Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names and version numbers (Lambda API reference, CreateFunction and PublishVersion).
_FUNCTION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"[1-9][0-9]{0,18}")


class ReleaseSettings(NamedTuple):
    """Settings of the release functions.

    Attributes
    ----------
    version
        Number of the function's newest version: the one that a deployment in progress releases.
    environments
        Execution environments of it that have to answer before it gets traffic.
    max_latency_ms
        Longest duration of a golden case in an environment that has answered before.
    max_memory_share
        Largest share of the function's memory that an environment may have used.
    """

    environment: str
    function: str
    alias: str
    version: str
    models: tuple[str, ...]
    models_dir: Path
    environments: int
    max_latency_ms: float
    max_memory_share: float

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], default_models_dir: Path) -> ReleaseSettings:
        """Parse the variables.

        Raises
        ------
        loupe.variables.SettingsError
        """
        read = Variables(variables)
        function, version = read.text("LOUPE_RELEASE_FUNCTION", ""), read.text("LOUPE_RELEASE_VERSION", "")
        if not _FUNCTION.fullmatch(function):
            raise SettingsError(f"LOUPE_RELEASE_FUNCTION is {function!r} but must be the name of a function.")
        if not _VERSION.fullmatch(version):
            raise SettingsError(f"LOUPE_RELEASE_VERSION is {version!r} but must be the number of a version.")
        models = read.items("LOUPE_MODELS", read.text("LOUPE_MODEL", "hair-type"))
        if not all(NAME_PATTERN.fullmatch(name) for name in models):
            raise SettingsError(f"LOUPE_MODELS is {','.join(models)!r} but must hold names of folders in models/.")
        return cls(
            environment=read.text("LOUPE_ENVIRONMENT", "local"),
            function=function,
            alias=read.text("LOUPE_RELEASE_ALIAS", "live"),
            version=version,
            models=models,
            models_dir=Path(read.text("LOUPE_MODELS_DIR", str(default_models_dir))),
            environments=read.integer("LOUPE_RELEASE_ENVIRONMENTS", 1, 1, 100),
            max_latency_ms=read.number("LOUPE_RELEASE_MAX_LATENCY_MS", 1, 28_000, "3000"),
            max_memory_share=read.number("LOUPE_RELEASE_MAX_MEMORY_SHARE", 0.1, 1, "0.9"),
        )
