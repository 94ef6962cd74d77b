"""Log lines as JSON on stdout, and stack traces without secrets.

The classifier function imports this module for failures only; `loupe.telemetry` writes the lines of its requests.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from loupe.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_log(service: str, environment: str, level: str, message: str, fields: Mapping[str, Any]) -> None:
    """Write one line."""
    clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"level": level, "message": message, "timestamp": clock, "service": service, "environment": environment}
    # In one piece, so that lines of several threads do not mix.
    sys.stdout.write(json.dumps({**line, **fields}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def trace(error: BaseException) -> str:
    """Return an exception's stack trace without secrets and content of requests."""
    return redacted("".join(traceback.format_exception(error)))
