"""Settings of the model that is served."""

from __future__ import annotations

from typing import Annotated

from infra.settings.base import Section, text


class ModelSettings(Section):
    """The served model: a folder of ``models/``."""

    name: Annotated[
        str, text(r"[a-z0-9][a-z0-9._-]{0,62}", "the name of a folder in models/: small letters, digits, . _ -")
    ] = "hair-type"
