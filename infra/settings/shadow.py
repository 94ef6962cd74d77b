"""Settings of the shadow test: a challenger that sees a sample of what the default model classifies."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.settings.base import Section
from infra.settings.model import ModelName


class ShadowSettings(Section):
    """Shadow test, deployed if a ``challenger`` is set."""

    challenger: ModelName | None = None
    # Share of the images that the default model classifies. The function reads at most four decimals.
    share: Annotated[float, Field(ge=0.0001, le=1)] = 0.05
    memory_mib: Annotated[int, Field(ge=512, le=10240)] = 1769
    # Without it, the challenger and the endpoint share the concurrency that the account has not reserved.
    reserved_concurrency: Annotated[int, Field(ge=1)] | None = None
    # Share of comparisons with different labels at which the alarm goes off.
    disagreement_rate: Annotated[float, Field(gt=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _has_a_challenger(self) -> Self:
        others = sorted(self.model_fields_set - {"challenger"})
        if self.challenger is None and others:
            raise ValueError(f"{others[0]} needs challenger, the model that is tested: name a folder of models/")
        return self

    def conflict(self, model: str) -> str | None:
        """Return why the challenger cannot be tested beside the default ``model``, or None."""
        if self.challenger == model:
            return (
                f"shadow.challenger is {model!r}, the default model itself: a shadow test compares two models, so name "
                "another folder of models/"
            )
        return None

    def unlimited(self, rule_packs: tuple[str, ...]) -> str | None:
        """Return why a challenger needs a concurrency limit that it does not have, or None."""
        if self.challenger and self.reserved_concurrency is None and "NIST.800.53.R5" in rule_packs:
            return "protection.rule_packs has NIST.800.53.R5, which asks you to set shadow.reserved_concurrency"
        return None
