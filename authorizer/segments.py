"""A subsegment of a sampled trace, with the outcome as an annotation, sent to the X-Ray daemon.

The same datagram as that of `loupe.tracing`, which this image does not have: X-Ray developer guide, 'Sending trace data
to X-Ray' and 'X-Ray segment documents'. Nothing of a token is sent.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

_HEADER = b'{"format":"json","version":1}\n'
_ROOT = re.compile(r"(?:^|;)Root=(1-[0-9a-f]{8}-[0-9a-f]{24})(?:;|$)")
_PARENT = re.compile(r"(?:^|;)Parent=([0-9a-f]{16})(?:;|$)")
# An address, not a name: nothing is looked up.
_DAEMON = re.compile(r"(?:^|udp:)((?:\d{1,3}\.){3}\d{1,3}):(\d{1,5})$")
# Outcome and kind of failure by the exception's name.
_OUTCOMES = {"UnauthorizedError": ("unauthorized", "error"), "IssuerError": ("issuer_unavailable", "fault")}


def traced(authorize: Callable[[Mapping[str, Any]], dict[str, Any]], event: Mapping[str, Any]) -> dict[str, Any]:
    """Call the authorizer, record its outcome, and return or raise what it returned or raised."""
    started = time.time()
    code, failure = "internal_error", "fault"
    try:
        response = authorize(event)
        allowed = response["policyDocument"]["Statement"][0]["Effect"] == "Allow"
        code, failure = ("ok", "") if allowed else ("forbidden", "error")
    except Exception as error:
        code, failure = _OUTCOMES.get(type(error).__name__, (code, failure))
        raise
    finally:
        _record(started, time.time(), code, failure)
    return response


def _record(started: float, end: float, code: str, failure: str) -> None:
    """Send the subsegment; without a trace or a daemon do nothing. Never raises."""
    trace = os.environ.get("_X_AMZN_TRACE_ID", "")
    root, parent = _ROOT.search(trace), _PARENT.search(trace)
    daemon = _DAEMON.search(os.environ.get("AWS_XRAY_DAEMON_ADDRESS", ""))
    if root is None or parent is None or daemon is None:
        return
    document = {
        "name": "authorize",
        "id": os.urandom(8).hex(),
        "trace_id": root[1],
        "parent_id": parent[1],
        "type": "subsegment",
        "start_time": started,
        "end_time": end,
        "annotations": {"code": code},
        **({failure: True} if failure else {}),
    }
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            # A full buffer loses the subsegment rather than time.
            sender.setblocking(False)
            sender.sendto(_HEADER + json.dumps(document).encode("ascii"), (daemon[1], int(daemon[2])))
    except (OSError, OverflowError):
        return
