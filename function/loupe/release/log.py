"""Log lines and metrics of the release functions: JSON on stdout."""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from loupe.redaction import redacted
from loupe.telemetry import NAMESPACE, RELEASE_DIMENSIONS, SYNTHETIC_FAILURES, SYNTHETIC_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReleaseLog:
    """Lines of one environment and version."""

    def __init__(self, environment: str, version: str) -> None:
        self._environment, self._version = environment, version

    def write(self, level: str, message: str, **fields: Any) -> None:
        """Write one line."""
        clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        about = {"service": "release", "environment": self._environment, "version": self._version}
        self._line({"level": level, "message": message, "timestamp": clock, **about, **fields})

    def synthetic(self, requests: int, failures: int) -> None:
        """Write the metrics of synthetic traffic, by version, in the embedded metric format."""
        values = {SYNTHETIC_REQUESTS: requests, SYNTHETIC_FAILURES: failures}
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [[*RELEASE_DIMENSIONS]],
            "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
        }
        dimensions = dict(zip(RELEASE_DIMENSIONS, (self._environment, self._version), strict=True))
        metadata = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        self._line({"_aws": metadata, **dimensions, **values})

    @staticmethod
    def _line(fields: Mapping[str, Any]) -> None:
        # In one piece, so that lines of several threads do not mix.
        sys.stdout.write(json.dumps(fields, separators=(",", ":")) + "\n")
        sys.stdout.flush()


def trace(error: BaseException) -> str:
    """Return an exception's stack trace without secrets and content of requests."""
    return redacted("".join(traceback.format_exception(error)))
