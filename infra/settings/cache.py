"""Settings of the prediction cache."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.settings.base import Section


class CacheSettings(Section):
    """Predictions that each execution environment keeps in its memory; 0 MiB turns the cache off."""

    memory_mib: Annotated[int, Field(ge=0, le=1024)] = 0

    def conflict(self, function_mib: int) -> str | None:
        """Return why the cache cannot be deployed beside a function of ``function_mib`` memory, or None."""
        if self.memory_mib * 4 > function_mib:
            return (
                f"cache.memory_mib ({self.memory_mib}) may be at most a quarter of function.memory_mib "
                f"({function_mib}), which the model and the images need"
            )
        return None
