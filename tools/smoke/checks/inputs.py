"""Checks of every input that ordinary clients use, with the headers that they send by default."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

import httpx

from tools.smoke.checks.predictions import classify, expect_result
from tools.smoke.endpoint import CheckError, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from tools.smoke.card import GoldenCase
    from tools.smoke.suite import Run

# Name in the report -> Content-Type header, None to send none. Sources: default headers of requests, httpx and Node's
# fetch (none), curl --data-binary (form), Windows and old Java clients, S3 tools.
MEDIA_TYPES: Mapping[str, str | None] = {
    "none": None,
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpg",
    "image/pjpeg": "image/pjpeg",
    "image/x-png": "image/x-png",
    "image/*": "image/*",
    "application/octet-stream": "application/octet-stream",
    "binary/octet-stream": "binary/octet-stream",
    "application/x-www-form-urlencoded": "application/x-www-form-urlencoded",
    "text/plain": "text/plain",
    "application/json": "application/json",
}
# API Gateway hands over at most 6 MB of event, which is about 4.5 MB of image in base64.
_LARGE_BYTES = 4_200_000
_COMMENT_BYTES = 65_533


def media_type(value: str | None) -> Callable[[Run], str]:
    """Return the check that an image with this Content-Type is classified by its content."""

    def check(run: Run) -> str:
        case = _jpeg(run)
        return _same_label(case, classify(run, case.path.read_bytes(), value))

    return check


def base64_json(run: Run) -> str:
    case = run.card.golden[0]
    image = base64.b64encode(case.path.read_bytes()).decode()
    _same_label(case, expect_result(run.endpoint.post_json(run.of_card("v1/classify"), {"image": image})))
    data_uri = {"image": f"data:image/jpeg;base64,{image}"}
    return _same_label(case, expect_result(run.endpoint.post_json(run.of_card("v1/classify"), data_uri)))


def form(run: Run) -> str:
    case = run.card.golden[0]
    request = httpx.Request("POST", "http://form", files={"file": (case.path.name, case.path.read_bytes())})
    reply = run.endpoint.post(run.of_card("v1/classify"), request.read(), request.headers["content-type"])
    return _same_label(case, expect_result(reply))


def form_without_file_name(run: Run) -> str:
    case = run.card.golden[0]
    boundary = secrets.token_hex(8)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = head.encode() + case.path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    reply = run.endpoint.post(run.of_card("v1/classify"), body, f"multipart/form-data; boundary={boundary}")
    return _same_label(case, expect_result(reply))


def large_body(run: Run) -> str:
    """An image of 4.2 MB passes the request size limits."""
    body = padded_jpeg(_jpeg(run).path.read_bytes(), _LARGE_BYTES)
    _same_label(_jpeg(run), classify(run, body, "image/jpeg"))
    return f"{len(body):,} bytes"


def upload(run: Run) -> str:
    """A presigned upload, and the classification of what was uploaded."""
    limits = expect_result(run.endpoint.get("v1/models"))["limits"]
    reply = run.endpoint.post("v1/uploads", b"", None)
    if not limits["uploads"]:
        if reply.status != httpx.codes.NOT_FOUND or reply.json["code"] != "uploads_off":
            raise CheckError(f"uploads are off, but POST /v1/uploads gives HTTP {reply.status}: {reply.excerpt}")
        raise NotApplicableError("this deployment takes no uploads (inputs.uploads.enabled), and says so")
    place = expect_result(reply)
    case = run.card.golden[0]
    sent = httpx.post(
        place["upload"]["url"],
        data=place["upload"]["fields"],
        files={"file": (case.path.name, case.path.read_bytes())},
        timeout=60,
    )
    if not sent.is_success:
        raise CheckError(f"the upload bucket answered HTTP {sent.status_code}: {sent.text[:200]!r}")
    return _same_label(case, expect_result(run.endpoint.post_json(run.of_card("v1/classify"), {"s3": place["s3"]})))


def padded_jpeg(data: bytes, size: int) -> bytes:
    """Return a JPEG with the same pixels and at least ``size`` bytes, by comment segments (ITU T.81, B.2.4.5)."""
    segment = b"\xff\xfe" + (_COMMENT_BYTES + 2).to_bytes(2, "big") + bytes(_COMMENT_BYTES)
    count = max(0, -(-(size - len(data)) // len(segment)))
    return data[:2] + segment * count + data[2:]


def _jpeg(run: Run) -> GoldenCase:
    for case in run.card.golden:
        if case.path.read_bytes()[:2] == b"\xff\xd8":
            return case
    raise NotApplicableError("the card has no golden image in JPEG")


def _same_label(case: GoldenCase, result: Mapping[str, Any]) -> str:
    if result["label"] != case.label:
        raise CheckError(f"{case.path.name} is {result['label']} instead of {case.label}")
    return f"{result['label']} {float(result['probability']):.4f}"
