"""Variants of `tests.infra.variants` with their templates, each synthesized once, with cdk-nag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.infra.synthesis import Synthesized, synthesize
from tests.infra.variants import variants


class Variant(NamedTuple):
    """An environment with settings over it."""

    environment: str
    patch: Mapping[str, Any]
    built: Synthesized


def variant_of(name: str) -> Variant:
    environment, patch = variants()[name]
    return Variant(environment, patch or {}, synthesize(environment, patch, rule_packs=True))
