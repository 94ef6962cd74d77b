"""One subsegment of a sampled trace, with annotations to search traces by, sent to the X-Ray daemon.

Lambda runs the daemon beside each execution environment that is traced, and makes the function's segment by itself. An
annotation needs a subsegment, which is one datagram (X-Ray developer guide, 'Sending trace data to X-Ray' and 'X-Ray
segment documents'): no SDK, no connection, no answer to wait for. Entry points import this module for a sampled request
only. Values come from closed sets or are numbers, as in the log.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from loupe.telemetry import Observation

    Annotations: TypeAlias = Mapping[str, str | float | bool]

_HEADER = b'{"format":"json","version":1}\n'
# Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1, then perhaps more fields.
_ROOT = re.compile(r"(?:^|;)Root=(1-[0-9a-f]{8}-[0-9a-f]{24})(?:;|$)")
_PARENT = re.compile(r"(?:^|;)Parent=([0-9a-f]{16})(?:;|$)")
# 169.254.79.129:2000, or "tcp:... udp:..." as the SDKs take it. An address, not a name: nothing is looked up.
_DAEMON = re.compile(r"(?:^|udp:)((?:\d{1,3}\.){3}\d{1,3}):(\d{1,5})$")
# Far below the 64 kB of a segment document; what is larger is not sent.
MAX_BYTES = 8 * 1024
_MAX_TEXT = 200


def record_request(observation: Observation, *, cold: bool) -> None:
    """Annotate the present trace with what a request was and which model answered it."""
    model, problem = observation.model, observation.problem
    annotations: dict[str, str | float | bool] = {
        "route": observation.route,
        "model": model.name,
        "model_version": model.version,
        "variant": model.variant,
        "code": "ok" if problem is None else problem.code,
        "cold_start": cold,
        "cache": observation.cache,
    }
    if observation.items:
        annotations |= {"items": len(observation.items), "failed_items": len(observation.problems)}
    if observation.assignment is not None:
        annotations |= {"experiment": observation.assignment.experiment, "arm": observation.assignment.arm}
    record(
        observation.route or "request",
        observation.stages.total(),
        annotations,
        status=200 if problem is None else problem.status,
        stages=observation.stages.milliseconds,
    )


def traced_batch(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run one invocation of the bulk function, and annotate its trace with the counts of its result or its failure."""
    started = time.monotonic()
    annotations: dict[str, str | float | bool] = {"code": "internal_error"}
    status = 500
    try:
        result = run()
        counts = {name: result[name] for name in ("rows", "failed", "skipped") if isinstance(result.get(name), int)}
        annotations, status = {"code": "ok", **_model_of(result), **counts}, 200
    except Exception as error:
        # The state machine retries by this name.
        annotations = {"code": type(error).__name__}
        raise
    finally:
        record("batch", (time.monotonic() - started) * 1e3, annotations, status=status)
    return result


def _model_of(result: Mapping[str, Any]) -> Annotations:
    model = result.get("model")
    if not isinstance(model, dict):
        return {}
    names = {"name": "model", "version": "model_version", "variant": "variant"}
    return {names[key]: value for key, value in model.items() if key in names and isinstance(value, str)}


def record(
    name: str,
    milliseconds: float,
    annotations: Annotations,
    *,
    status: int = 200,
    stages: Mapping[str, float] | None = None,
) -> None:
    """Send a subsegment of the present trace that ends now; do nothing without a trace or a daemon. Never raises.

    Parameters
    ----------
    annotations
        Names of letters, digits and ``_``.
    status
        HTTP status: 5xx is a fault, 429 a throttle, other 4xx an error.
    stages
        Milliseconds by stage, as metadata, which X-Ray shows but does not index.
    """
    trace = os.environ.get("_X_AMZN_TRACE_ID", "")
    root, parent = _ROOT.search(trace), _PARENT.search(trace)
    daemon = _DAEMON.search(os.environ.get("AWS_XRAY_DAEMON_ADDRESS", ""))
    if root is None or parent is None or daemon is None:
        return
    now = time.time()
    document: dict[str, Any] = {
        "name": name,
        "id": os.urandom(8).hex(),
        "trace_id": root[1],
        "parent_id": parent[1],
        "type": "subsegment",
        "start_time": now - milliseconds / 1e3,
        "end_time": now,
        "annotations": {
            key: value[:_MAX_TEXT] if isinstance(value, str) else value for key, value in annotations.items()
        },
    }
    if status >= 400:
        document["fault" if status >= 500 else "error"] = True
        if status == 429:
            document["throttle"] = True
    if stages:
        document["metadata"] = {"loupe": {"stages_ms": {stage: round(value, 2) for stage, value in stages.items()}}}
    datagram = _HEADER + json.dumps(document, separators=(",", ":")).encode("ascii")
    if len(datagram) > MAX_BYTES:
        return
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            # A full buffer loses the subsegment rather than time.
            sender.setblocking(False)
            sender.sendto(datagram, (daemon[1], int(daemon[2])))
    except (OSError, OverflowError):
        # No daemon, or a port above 65535: the request has been served all the same.
        return
