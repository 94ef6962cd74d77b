"""The check of an experiment: its header, and that a repeated request gets the same arm."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from tools.smoke.checks.predictions import expect_result
from tools.smoke.endpoint import CheckError, NotApplicableError

if TYPE_CHECKING:
    from tools.smoke.endpoint import Reply
    from tools.smoke.suite import Run

# A dictionary of one token (RFC 9651), of names that the settings accept.
_ASSIGNMENT = re.compile(r"[a-z][a-z0-9-]{0,31}=[a-z][a-z0-9-]{0,31}")


def assigned(run: Run) -> str:
    """The same image gets the same arm and model twice, and a named model is no part of the experiment."""
    if not run.experiment:
        raise NotApplicableError("the endpoint runs no experiment")
    image = run.card.golden[0].path.read_bytes()
    first, second = (run.endpoint.post("v1/classify", image, "application/octet-stream") for _ in range(2))
    if _arm(first) != _arm(second):
        raise CheckError(f"the same request got {_arm(first)} and then {_arm(second)}")
    served = {described["name"] for described in expect_result(run.endpoint.get("v1/models"))["models"]}
    name = expect_result(first)["model"]["name"]
    if name not in served:
        raise CheckError(f"{_arm(first)} was answered by {name}, which is not of GET v1/models")
    items = {"items": [{"image": base64.b64encode(image).decode()}]}
    _arm(run.endpoint.post_json("v1/classify/batch", items))
    named = run.endpoint.post(f"v1/models/{run.card.name}/classify", image, "application/octet-stream")
    if "x-experiment" in named.headers or expect_result(named)["model"]["name"] != run.card.name:
        raise CheckError(f"v1/models/{run.card.name}/classify takes part in the experiment")
    return f"{_arm(first)}, {name}"


def _arm(reply: Reply) -> str:
    expect_result(reply)
    value = reply.headers.get("x-experiment", "")
    if not _ASSIGNMENT.fullmatch(value):
        raise CheckError(f"X-Experiment is {value!r} and not experiment=arm")
    return value
