"""What each route takes and answers, as OpenAPI operations with examples."""

from __future__ import annotations

from typing import Any

from loupe.errors import (
    BatchTooLarge,
    ImageTooLarge,
    ImageUndecodable,
    InternalError,
    ModelFailed,
    Problem,
    RequestInvalid,
    S3NotAllowed,
    S3Unavailable,
    S3Unreachable,
    UnsupportedMediaType,
    UploadsOff,
    UrlNotAllowed,
    UrlUnreachable,
)
from loupe.formats import DEFAULT_FORMATS

from tools.contract.problems import EXAMPLES, GATEWAY_PROBLEMS, REQUEST_ID, example

Operation = dict[str, Any]

# Every body reaches the function as bytes. API Gateway decodes a body of any other type as UTF-8, which damages images
# that arrive without a media type or with a rare one ("Working with binary media types for REST APIs").
BINARY_MEDIA_TYPES = ("*/*",)
# Operations whose bodies hold images, themselves or as base64: a firewall must not judge them by their bytes.
PICTURE_OPERATIONS = ("classify", "batch")
_BYTES = {"type": "string", "format": "binary"}
_SMALLEST = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
_S3 = {"bucket": "loupe-uploads", "key": "uploads/0f1e2d3c4b5a69788796a5b4c3d2e1f0"}
_MODEL = {"name": "hair-type", "version": "1.1.0", "variant": "float16"}
_SCORES = {"label": "curly", "probability": 0.93, "scores": {"curly": 0.93, "straight": 0.07}}
_LIMITS = {"max_image_bytes": 10485760, "max_image_pixels": 25000000,
           "formats": list(DEFAULT_FORMATS), "max_batch": 32, "uploads": True}  # fmt: skip
# Not here: not_found and method_not_allowed, which only a path or method that this document does not have is answered
# with. The REST API answers both with its own 404; 405 comes from a function URL or an HTTP API.
_ANY: tuple[type[Problem], ...] = (InternalError,)
_ONE = (RequestInvalid, ImageTooLarge, UnsupportedMediaType, ImageUndecodable, UrlNotAllowed, UrlUnreachable,
        S3NotAllowed, S3Unreachable, ModelFailed, S3Unavailable)  # fmt: skip

_TOP_QUERY = [
    {
        "name": "top",
        "in": "query",
        "description": "How many scores are wanted; not together with scores.",
        "schema": {"$ref": "#/components/schemas/Top"},
    },
    {
        "name": "scores",
        "in": "query",
        "description": "The same as top=all.",
        "schema": {"type": "string", "enum": ["all"]},
    },
]
_HEADERS = {
    "X-Request-Id": {"description": "Also in the log.", "schema": {"type": "string"}},
    "Server-Timing": {
        "description": "Where the time went (W3C Server-Timing): source, decode, tensor, model and total, in ms.",
        "schema": {"type": "string"},
    },
}


def _examples(**values: Any) -> dict[str, Any]:
    return {name: {"value": value} for name, value in values.items()}


def _json(schema: str, **examples: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"application/json": {**content, "examples": _examples(**examples)}}


def _answer(content: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "headers": _HEADERS, "content": content}


def _responses(
    success: dict[str, Any], problems: tuple[type[Problem], ...], *, keyed: bool, cached: bool = False
) -> dict[str, Any]:
    by_status: dict[int, set[str]] = {}
    for kind in (*problems, *_ANY):
        by_status.setdefault(kind.status, set()).add(kind.code)
    for problem in GATEWAY_PROBLEMS:
        if keyed or problem.status >= 429:
            by_status.setdefault(problem.status, set()).add(problem.code)
    found: dict[str, Any] = {"200": success}
    if cached:
        found["304"] = {"description": "What If-None-Match names is still right.", "headers": _HEADERS}
    for status, codes in sorted(by_status.items()):
        examples = {code: {"$ref": f"#/components/examples/{code}"} for code in sorted(codes)}
        found[str(status)] = {
            "description": ", ".join(examples),
            "headers": {"X-Request-Id": _HEADERS["X-Request-Id"]},
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
            },
        }
    return found


def _classify() -> Operation:
    return {
        "summary": "Classify one picture",
        "parameters": _TOP_QUERY,
        "requestBody": {
            "required": True,
            "description": "The image itself, a form with one file, or JSON with its source. The content decides what "
            "a body is: any media type, or none, will do for an image.",
            "content": {
                **_json(
                    "ClassifyRequest",
                    url={"url": "https://example.com/photo.jpg"},
                    base64={"image": _SMALLEST},
                    data_uri={"image": f"data:image/png;base64,{_SMALLEST}", "top": 1},
                    s3={"s3": _S3},
                    s3_version={"s3": {**_S3, "version_id": "3HL4kqtJlcpXroDTDmJ"}, "top": "all"},
                ),
                "application/octet-stream": {"schema": _BYTES},
                "image/*": {"schema": _BYTES},
                "multipart/form-data": {"schema": {"$ref": "#/components/schemas/ClassifyForm"}},
            },
        },
        "responses": _responses(
            _answer(_json("Result", result={**_SCORES, "model": _MODEL, "request_id": REQUEST_ID}), "The prediction."),
            _ONE,
            keyed=True,
        ),
    }


def _batch() -> Operation:
    items = [{"url": "https://example.com/photo.jpg"}, {"image": _SMALLEST}, {"s3": _S3}]
    late = next(kind for kind in EXAMPLES if kind.code == "deadline_exceeded")
    results = [
        {"index": 0, "result": _SCORES},
        {"index": 1, "error": example(ImageUndecodable)},
        {"index": 2, "error": example(late)},
    ]
    return {
        "summary": "Classify several pictures",
        "description": "Answers 200 even if items failed: each has its own result or problem, in the order that was "
        "sent. What there was no time for says so with the code deadline_exceeded.",
        "parameters": _TOP_QUERY,
        "requestBody": {"required": True, "content": _json("BatchRequest", three={"items": items, "top": 2})},
        "responses": _responses(
            _answer(
                _json("BatchResult", three={"results": results, "model": _MODEL, "request_id": REQUEST_ID}),
                "Each item's result or problem.",
            ),
            (RequestInvalid, BatchTooLarge),
            keyed=True,
        ),
    }


def _uploads() -> Operation:
    fields = {
        "Content-Type": "image/*",
        "key": _S3["key"],
        "policy": "eyJleHBpcmF0aW9uIjog...",
        "x-amz-signature": "9f8e",
    }
    upload = {
        "url": "https://loupe-uploads.s3.eu-west-1.amazonaws.com/",
        "fields": fields,
        "expires_at": "2026-11-23T09:05:00Z",
        "max_bytes": 10485760,
    }
    return {
        "summary": "Ask for a place to upload a picture that is larger than a request may be",
        "description": "Send the fields and then the file to upload.url as multipart/form-data, with the picture's "
        "type as Content-Type; then send s3 to POST /v1/classify. Uploads are deleted after a day.",
        "requestBody": {"required": False, "content": _json("UploadRequest", nothing={})},
        "responses": _responses(
            _answer(_json("Upload", upload={"upload": upload, "s3": _S3}), "Where and how to upload."),
            (RequestInvalid, UploadsOff),
            keyed=True,
        ),
    }


def _models() -> Operation:
    model = {
        **_MODEL,
        "description": "Curly or straight hair",
        "labels": ["curly", "straight"],
        "input": {"width": 200, "height": 200, "color": "RGB"},
        "evaluation": {"accuracy": 0.95},
        "license": {"spdx": "MIT"},
    }
    answer = _answer(
        _json("Models", hair={"models": [model], "limits": _LIMITS}), "The model and this endpoint's limits."
    )
    return {"summary": "Which model answers, and within which limits",
            "responses": _responses(answer, (), keyed=True, cached=True)}  # fmt: skip


def _health() -> Operation:
    answer = _answer(_json("Health", ok={"status": "ok", "model": _MODEL}), "The model is loaded.")
    return {"summary": "Whether the endpoint is up", "responses": _responses(answer, (), keyed=False)}


def _openapi() -> Operation:
    answer = _answer({"application/json": {"schema": {"type": "object"}}}, "An OpenAPI 3.1 document.")
    return {"summary": "This document", "responses": _responses(answer, (), keyed=False, cached=True)}


def _page() -> Operation:
    answer = _answer({"text/html": {"schema": {"type": "string"}}}, "HTML without anything from elsewhere.")
    return {
        "summary": "A page for people, to try the model with their own pictures",
        "responses": _responses(answer, (), keyed=False, cached=True),
    }


OPERATIONS = {
    "classify": _classify,
    "batch": _batch,
    "uploads": _uploads,
    "models": _models,
    "health": _health,
    "openapi": _openapi,
    "page": _page,
}
