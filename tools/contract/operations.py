"""Requests and responses of each route, as OpenAPI operations with examples."""

from __future__ import annotations

from loupe.errors import (
    BatchTooLarge,
    ImageTooLarge,
    ImageUndecodable,
    ModelFailed,
    NotFound,
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
from loupe.http.assignment import OVERRIDE_HEADER

from tools.contract.parts import Operation, json_content, response, responses
from tools.contract.problems import EXAMPLES, REQUEST_ID, example

# Every body reaches the function as bytes. API Gateway decodes a body of any other type as UTF-8, which damages images
# that arrive without a media type or with a rare one ("Working with binary media types for REST APIs").
BINARY_MEDIA_TYPES = ("*/*",)
# Operations whose bodies hold images, themselves or as base64: a firewall must not judge them by their bytes.
IMAGE_OPERATIONS = ("classify", "batch")
# Mark of the routes that a deployment with several models has beside the others.
MODELS_FEATURE = "models"
_BYTES = {"type": "string", "format": "binary"}
_SMALLEST = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
_S3 = {"bucket": "loupe-uploads", "key": "uploads/0f1e2d3c4b5a69788796a5b4c3d2e1f0"}
_MODEL = {"name": "hair-type", "version": "1.1.0", "variant": "float16"}
_SCORES = {"label": "curly", "probability": 0.93, "scores": {"curly": 0.93, "straight": 0.07}}
_LIMITS = {"max_image_bytes": 10485760, "max_image_pixels": 25000000,
           "formats": list(DEFAULT_FORMATS), "max_batch": 32, "uploads": True}  # fmt: skip
_ONE = (RequestInvalid, ImageTooLarge, UnsupportedMediaType, ImageUndecodable, UrlNotAllowed, UrlUnreachable,
        S3NotAllowed, S3Unreachable, ModelFailed, S3Unavailable)  # fmt: skip

_TOP_QUERY = [
    {
        "name": "top",
        "in": "query",
        "description": "Number of scores to return; not together with scores.",
        "schema": {"$ref": "#/components/schemas/Top"},
    },
    {
        "name": "scores",
        "in": "query",
        "description": "The same as top=all.",
        "schema": {"type": "string", "enum": ["all"]},
    },
]
_X_CACHE = {
    "X-Cache": "hit: the prediction comes from the endpoint's cache (of a batch: all do); miss: it does not; "
    "off: the endpoint has no cache."
}
_X_EXPERIMENT = {
    "X-Experiment": "Of an endpoint with an experiment, on problems too once the arm is known: experiment=arm, as a "
    "dictionary of one token (RFC 9651)."
}
_X_EXPERIMENT_ARM = {
    "name": OVERRIDE_HEADER,
    "in": "header",
    "description": "Names the arm of the endpoint's experiment, where that is allowed; elsewhere it means nothing.",
    "schema": {"type": "string"},
}


def _classify(*, assigned: bool = True) -> Operation:
    """Return the operation; ``assigned``: an experiment may choose the model."""
    return {
        "summary": "Classify one image",
        "parameters": [*_TOP_QUERY, *([_X_EXPERIMENT_ARM] if assigned else [])],
        "requestBody": {
            "required": True,
            "description": "The image itself, a form with one file, or JSON with its source. The content decides what "
            "a body is: any media type, or none, will do for an image.",
            "content": {
                **json_content(
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
        "responses": responses(
            response(
                json_content("Result", result={**_SCORES, "model": _MODEL, "request_id": REQUEST_ID}),
                "The prediction.",
                **_X_CACHE,
                **(_X_EXPERIMENT if assigned else {}),
            ),
            _ONE,
            keyed=True,
        ),
    }


def _batch(*, assigned: bool = True) -> Operation:
    items = [{"url": "https://example.com/photo.jpg"}, {"image": _SMALLEST}, {"s3": _S3}]
    late = next(kind for kind in EXAMPLES if kind.code == "deadline_exceeded")
    results = [
        {"index": 0, "result": _SCORES},
        {"index": 1, "error": example(ImageUndecodable)},
        {"index": 2, "error": example(late)},
    ]
    return {
        "summary": "Classify several images",
        "description": "Returns 200 even if items failed: each has its own result or problem, in the order that was "
        "sent. Items that were not processed before the deadline have the code deadline_exceeded.",
        "parameters": [*_TOP_QUERY, *([_X_EXPERIMENT_ARM] if assigned else [])],
        "requestBody": {"required": True, "content": json_content("BatchRequest", three={"items": items, "top": 2})},
        "responses": responses(
            response(
                json_content("BatchResult", three={"results": results, "model": _MODEL, "request_id": REQUEST_ID}),
                "Each item's result or problem.",
                **_X_CACHE,
                **(_X_EXPERIMENT if assigned else {}),
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
        "summary": "Request a presigned upload for an image that is larger than a request may be",
        "description": "Send the fields and then the file to upload.url as multipart/form-data, with the image's "
        "type as Content-Type; then send s3 to POST /v1/classify. Uploads are deleted after a day.",
        "requestBody": {"required": False, "content": json_content("UploadRequest", nothing={})},
        "responses": responses(
            response(json_content("Upload", upload={"upload": upload, "s3": _S3}), "Where and how to upload."),
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
    shown = response(
        json_content("Models", hair={"models": [model], "limits": _LIMITS}), "The model and this endpoint's limits."
    )
    return {"summary": "The served model and the limits of this deployment",
            "responses": responses(shown, (), keyed=True, cached=True)}  # fmt: skip


def _health() -> Operation:
    shown = response(json_content("Health", ok={"status": "ok", "model": _MODEL}), "The model is loaded.")
    return {"summary": "Whether the endpoint is up", "responses": responses(shown, (), keyed=False)}


def _openapi() -> Operation:
    shown = response({"application/json": {"schema": {"type": "object"}}}, "An OpenAPI 3.1 document.")
    return {"summary": "This document", "responses": responses(shown, (), keyed=False, cached=True)}


def _page() -> Operation:
    shown = response({"text/html": {"schema": {"type": "string"}}}, "HTML without anything from elsewhere.")
    return {
        "summary": "A web page to try the model with your own images",
        "responses": responses(shown, (), keyed=False, cached=True),
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


def of_model(summary: str, operation: Operation) -> Operation:
    """Return an operation with the model in its path."""
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "A model of GET /v1/models.",
        "schema": {"type": "string"},
    }
    not_found = responses({}, (NotFound,), keyed=False)[str(NotFound.status)]
    return {
        **operation,
        "summary": summary,
        "parameters": [name, *operation["parameters"]],
        "responses": dict(sorted({**operation["responses"], str(NotFound.status): not_found}.items())),
    }


MODEL_OPERATIONS = {
    "model_classify": lambda: of_model("Classify one image with the model of this name", _classify(assigned=False)),
    "model_batch": lambda: of_model("Classify several images with the model of this name", _batch(assigned=False)),
}
