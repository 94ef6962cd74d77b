"""Log lines and metrics of the release functions: JSON on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loupe.log import write_log
from loupe.telemetry import RELEASE_DIMENSIONS, SYNTHETIC_FAILURES, SYNTHETIC_REQUESTS, write_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence


class ReleaseLog:
    """Lines of one environment and version."""

    def __init__(self, environment: str, version: str) -> None:
        self._environment, self._version = environment, version

    def write(self, level: str, message: str, **fields: Any) -> None:
        """Write one line."""
        write_log("release", self._environment, level, message, {"version": self._version, **fields})

    def synthetic(self, requests: int, failures: int) -> None:
        """Write the metrics of synthetic traffic, by version."""
        values: dict[str, tuple[Sequence[float], str]] = {
            SYNTHETIC_REQUESTS: ([requests], "Count"),
            SYNTHETIC_FAILURES: ([failures], "Count"),
        }
        write_metrics([(values, dict(zip(RELEASE_DIMENSIONS, (self._environment, self._version), strict=True)))])
