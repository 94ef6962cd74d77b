"""JSON Schemas of what is sent and answered.

Those of requests hold to what API Gateway's validation takes (JSON Schema draft 4, no ``$ref`` between models), so the
deployed API can check bodies with them before the function is asked.
"""

from __future__ import annotations

from typing import Any

from loupe.errors import PROBLEM_TYPE_BASE
from loupe.request import DEFAULT_TOP, MAX_S3_KEY_BYTES, MAX_TOP, MAX_URL_CHARACTERS, SOURCE_KEYS
from loupe.settings import MAX_BATCH_LIMIT

Schema = dict[str, Any]

_NO_CONTROLS = "^[^\\u0000-\\u001f\\u007f]+$"
_S3_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_S3_KEY_BYTES, "pattern": _NO_CONTROLS}
TOP: Schema = {
    "description": f"How many scores are wanted, or all of them. Without it: {DEFAULT_TOP}.",
    "anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_TOP}, {"type": "string", "enum": ["all"]}],
}
S3_OBJECT: Schema = {
    "type": "object",
    "description": "An object in a bucket and prefix that the endpoint reads from, or that was uploaded through it.",
    "properties": {"bucket": _S3_TEXT, "key": _S3_TEXT, "version_id": _S3_TEXT},
    "required": ["bucket", "key"],
    "additionalProperties": False,
}
_SOURCES: Schema = {
    "url": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_URL_CHARACTERS,
        "description": "Where the picture is to be fetched, if this endpoint fetches from there.",
    },
    "image": {
        "type": "string",
        "minLength": 1,
        "description": "The picture's file in base64; white space and a data-URI prefix do not matter.",
    },
    "s3": S3_OBJECT,
}
_EXACTLY_ONE = [{"required": [key]} for key in SOURCE_KEYS]
_ITEM: Schema = {
    "type": "object",
    "properties": _SOURCES,
    "oneOf": _EXACTLY_ONE,
    "additionalProperties": False,
}
REQUESTS: dict[str, Schema] = {
    "ClassifyRequest": {
        "type": "object",
        "description": "Exactly one of url, image and s3.",
        "properties": {**_SOURCES, "top": TOP},
        "oneOf": _EXACTLY_ONE,
        "additionalProperties": False,
    },
    "BatchRequest": {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_BATCH_LIMIT,
                "description": "Pictures, each with exactly one of url, image and s3. What is none is answered with a "
                "problem in its place. A deployment may allow fewer; GET /v1/models tells how many.",
                "items": {"anyOf": [_ITEM, {"description": "What is no picture's source."}]},
            },
            "top": TOP,
        },
        "required": ["items"],
        "additionalProperties": False,
    },
    "UploadRequest": {"type": "object", "description": "Nothing is asked.", "additionalProperties": False},
}


def _object(properties: dict[str, Schema], *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_SCORES = {
    "label": {"type": "string", "description": "The likeliest label."},
    "probability": {**_PROBABILITY, "description": "The probability of that label."},
    "scores": {
        "type": "object",
        "description": "Probabilities by label, highest first.",
        "additionalProperties": _PROBABILITY,
        "minProperties": 1,
    },
}
_REQUEST_ID: Schema = {"type": "string", "description": "Quote it when you report something; it is in the log."}

ANSWERS: dict[str, Schema] = {
    "Result": _object({**_SCORES, "model": _ref("ModelName"), "request_id": _REQUEST_ID}),
    "ModelName": _object({"name": _TEXT, "version": _TEXT, "variant": _TEXT}),
    "BatchResult": _object(
        {
            "results": {
                "type": "array",
                "minItems": 1,
                "items": _ref("BatchItem"),
                "description": "In the items' order.",
            },
            "model": _ref("ModelName"),
            "request_id": _REQUEST_ID,
        }
    ),
    "BatchItem": {
        "type": "object",
        "properties": {"index": _COUNT, "result": _object(_SCORES), "error": _ref("Problem")},
        "required": ["index"],
        "oneOf": [{"required": ["result"]}, {"required": ["error"]}],
        "additionalProperties": False,
    },
    "Upload": _object(
        {
            "upload": _object(
                {
                    "url": {"type": "string", "description": "Send multipart/form-data here: fields, then file last."},
                    "fields": {"type": "object", "additionalProperties": _TEXT},
                    "expires_at": {"type": "string", "format": "date-time"},
                    "max_bytes": _COUNT,
                }
            ),
            "s3": {**S3_OBJECT, "description": "What to send to POST /v1/classify when the file is there."},
        }
    ),
    "Models": _object(
        {
            "models": {"type": "array", "minItems": 1, "items": _ref("Model")},
            "limits": _object(
                {
                    "max_image_bytes": _COUNT,
                    "max_image_pixels": _COUNT,
                    "max_batch": _COUNT,
                    "uploads": {"type": "boolean", "description": "Whether POST /v1/uploads is on."},
                }
            ),
        }
    ),
    "Model": _object(
        {
            "name": _TEXT,
            "version": _TEXT,
            "variant": _TEXT,
            "description": _TEXT,
            "labels": {"type": "array", "items": _TEXT, "minItems": 2},
            "input": _object({"width": _COUNT, "height": _COUNT, "color": {"enum": ["RGB", "BGR", "L"]}}),
            "evaluation": {"type": "object", "description": "How good it is, as its card says."},
            "license": {"type": "object"},
        }
    ),
    "Health": _object({"status": {"enum": ["ok"]}, "model": _ref("ModelName")}),
}


def problem(codes: list[str]) -> Schema:
    """Return the schema of a problem (RFC 9457)."""
    return _object(
        {
            "type": {"type": "string", "description": f"{PROBLEM_TYPE_BASE}<code>"},
            "title": _TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "A sentence for people."},
            "code": {"description": "A word for programs, which never changes its meaning.", "enum": codes},
            "request_id": _REQUEST_ID,
        }
    )
