"""JSON Schemas of requests and responses.

Alternatives are named schemas: code generators make a type for each and a union of them.
"""

from __future__ import annotations

from typing import Any

from loupe.errors import PROBLEM_TYPE_BASE
from loupe.formats import FORMATS
from loupe.prediction import DEFAULT_TOP, MAX_TOP
from loupe.settings import MAX_BATCH_LIMIT
from loupe.sources.s3 import MAX_S3_KEY_BYTES
from loupe.sources.url import MAX_URL_CHARACTERS

Schema = dict[str, Any]

_NO_CONTROLS = "^[^\\u0000-\\u001f\\u007f]+$"
_S3_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_S3_KEY_BYTES, "pattern": _NO_CONTROLS}


def ref(name: str) -> Schema:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _one_of(description: str, *names: str) -> Schema:
    return {"description": description, "oneOf": [ref(name) for name in names]}


_URL: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_URL_CHARACTERS,
    "description": "Where the image is fetched from, if this endpoint fetches from there.",
}
_BASE64: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "The image file in base64 (standard or URL-safe); white space, a data-URI prefix and missing "
    "padding do not matter. Through API Gateway at most about 3.4 MB of image; send a larger one as the body itself.",
}


def _sources(prefix: str, description: str, more: Schema) -> dict[str, Schema]:
    """Return a named schema for each source, with what else the object may have, and their union."""
    contents = {"url": ("Url", _URL), "image": ("Base64", _BASE64), "s3": ("S3", ref("S3Object"))}
    schemas: dict[str, Schema] = {
        f"{prefix}{suffix}": {
            "type": "object",
            "title": f"{prefix}{suffix}",
            "properties": {key: content, **more},
            "required": [key],
            "additionalProperties": False,
        }
        for key, (suffix, content) in contents.items()
    }
    return {prefix: _one_of(description, *schemas), **schemas}


REQUESTS: dict[str, Schema] = {
    "Top": {
        "description": f"Number of scores to return, or all of them. Default: {DEFAULT_TOP}.",
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_TOP}, {"type": "string", "enum": ["all"]}],
    },
    "S3Object": {
        "type": "object",
        "description": "An object in a bucket and prefix that the endpoint reads from, or that was uploaded.",
        "properties": {"bucket": _S3_TEXT, "key": _S3_TEXT, "version_id": _S3_TEXT},
        "required": ["bucket", "key"],
        "additionalProperties": False,
    },
    **_sources("ClassifyRequest", "An image's source, and the number of scores to return.", {"top": ref("Top")}),
    "ClassifyForm": {
        "type": "object",
        "description": "A form with one file; its field's name does not matter.",
        "properties": {"file": {"type": "string", "format": "binary"}, "top": ref("Top")},
        "required": ["file"],
        "additionalProperties": False,
    },
    **_sources("ImageSource", "An image's source.", {}),
    "BatchRequest": {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_BATCH_LIMIT,
                "description": "An invalid item has a problem in its place. A deployment may "
                "allow fewer items; GET /v1/models has the number.",
                "items": ref("ImageSource"),
            },
            "top": ref("Top"),
        },
        "required": ["items"],
        "additionalProperties": False,
    },
    "UploadRequest": {"type": "object", "description": "Nothing is asked for.", "additionalProperties": False},
}


def json_object(properties: dict[str, Schema], *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """Return the schema of an object that has all properties but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_SCORES = {
    "label": {"type": "string", "description": "The likeliest label."},
    "probability": {**_PROBABILITY, "description": "The probability of that label."},
    "labels": {
        "type": "array",
        "items": TEXT,
        "description": "Of models whose images may have several labels: all labels at or above their thresholds, "
        "highest first; perhaps none.",
    },
    "scores": {
        "type": "object",
        "description": "Probabilities by label, highest first.",
        "additionalProperties": _PROBABILITY,
        "minProperties": 1,
    },
}
_REQUEST_ID: Schema = {"type": "string", "description": "Quote it when you report something; it is in the log."}

ANSWERS: dict[str, Schema] = {
    "Result": json_object({**_SCORES, "model": ref("ModelName"), "request_id": _REQUEST_ID}, optional=("labels",)),
    "ModelName": json_object({"name": TEXT, "version": TEXT, "variant": TEXT}),
    "BatchResult": json_object(
        {
            "results": {
                "type": "array",
                "minItems": 1,
                "items": ref("BatchItem"),
                "description": "In the items' order.",
            },
            "model": ref("ModelName"),
            "request_id": _REQUEST_ID,
        }
    ),
    "BatchItem": _one_of("The result or the problem of one item.", "BatchItemResult", "BatchItemProblem"),
    "BatchItemResult": json_object({"index": COUNT, "result": ref("Scores")}, additionalProperties=False),
    "BatchItemProblem": json_object({"index": COUNT, "error": ref("Problem")}, additionalProperties=False),
    "Scores": json_object(_SCORES, optional=("labels",)),
    "Upload": json_object(
        {
            "upload": json_object(
                {
                    "url": {"type": "string", "description": "Send multipart/form-data here: fields, then file last."},
                    "fields": {"type": "object", "additionalProperties": TEXT},
                    "expires_at": {"type": "string", "format": "date-time"},
                    "max_bytes": COUNT,
                }
            ),
            "s3": ref("S3Object"),
        }
    ),
    "Models": json_object(
        {
            "models": {"type": "array", "minItems": 1, "items": ref("Model")},
            "limits": json_object(
                {
                    "max_image_bytes": COUNT,
                    "max_image_pixels": COUNT,
                    "formats": {
                        "type": "array",
                        "items": {"enum": list(FORMATS)},
                        "minItems": 1,
                        "description": "Image formats that this deployment reads.",
                    },
                    "max_batch": COUNT,
                    "uploads": {"type": "boolean", "description": "Whether POST /v1/uploads is on."},
                }
            ),
        }
    ),
    "Model": json_object(
        {
            "name": TEXT,
            "version": TEXT,
            "variant": TEXT,
            "description": TEXT,
            "labels": {"type": "array", "items": TEXT, "minItems": 2},
            "input": json_object({"width": COUNT, "height": COUNT, "color": {"enum": ["RGB", "BGR", "L"]}}),
            "evaluation": {"type": "object", "description": "How good it is, as its card says."},
            "license": {"type": "object"},
        }
    ),
    "Health": json_object({"status": {"enum": ["ok"]}, "model": ref("ModelName")}),
}


def problem(codes: list[str]) -> Schema:
    """Return the schema of a problem (RFC 9457)."""
    return json_object(
        {
            "type": {"type": "string", "description": f"{PROBLEM_TYPE_BASE}<code>"},
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "A sentence for people."},
            "code": {"description": "A word for programs, which never changes its meaning.", "enum": codes},
            "request_id": _REQUEST_ID,
        }
    )
