"""Generate the public contract: one OpenAPI 3.1 document from `loupe.http.routes`, `loupe.errors` and the schemas here.

``python -m tools.contract`` writes ``docs/openapi.json``, from which infra builds the gateway, the copy that the
function serves at ``GET /openapi.json``, and the tables of ``docs/api.md``.
"""

from __future__ import annotations

from typing import Any

from loupe.http.routes import MODEL_ROUTES, ROUTES
from loupe.jobs.routes import JOB_ROUTES, MODEL_JOB_ROUTES

from tools.contract.job_schemas import JOB_ANSWERS, JOB_REQUESTS
from tools.contract.jobs import FEATURE, JOB_OPERATIONS, MODEL_JOB_OPERATIONS, MODEL_JOBS_FEATURE
from tools.contract.operations import (
    BINARY_MEDIA_TYPES,
    IMAGE_OPERATIONS,
    MODEL_OPERATIONS,
    MODELS_FEATURE,
    OPERATIONS,
)
from tools.contract.problems import GATEWAY_PROBLEMS, examples, gateway_example
from tools.contract.schemas import ANSWERS, REQUESTS, problem

VERSION = "1.0.0"


def document(*, jobs: bool = True, models: bool = True) -> dict[str, Any]:
    """Return the OpenAPI document; routes of bulk jobs and of several models are marked by ``x-loupe-feature``."""
    paths: dict[str, dict[str, Any]] = {}
    operations = [
        (
            route.method,
            route.path,
            {
                "operationId": route.name,
                **OPERATIONS[route.name](),
                "security": [{"apiKey": []}] if route.keyed else [],
            },
        )
        for route in ROUTES
    ]
    for model_route in MODEL_ROUTES if models else ():
        about = {"operationId": model_route.name, "x-loupe-feature": MODELS_FEATURE}
        operation = {**about, **MODEL_OPERATIONS[model_route.name](), "security": [{"apiKey": []}]}
        operations.append((model_route.method, model_route.path, operation))
    for job_route in JOB_ROUTES if jobs else ():
        about = {"operationId": job_route.name, "x-loupe-feature": FEATURE}
        operation = {**about, **JOB_OPERATIONS[job_route.name](), "security": [{"apiKey": []}]}
        operations.append((job_route.method, job_route.path, operation))
    for job_route in MODEL_JOB_ROUTES if jobs and models else ():
        about = {"operationId": job_route.name, "x-loupe-feature": MODEL_JOBS_FEATURE}
        operation = {**about, **MODEL_JOB_OPERATIONS[job_route.name](), "security": [{"apiKey": []}]}
        operations.append((job_route.method, job_route.path, operation))
    for method, path, operation in operations:
        methods = paths.setdefault(path, {})
        methods[method.lower()] = operation
        if method == "GET":
            methods["head"] = _head(operation)
    schemas = {**REQUESTS, **ANSWERS, **(JOB_REQUESTS | JOB_ANSWERS if jobs else {})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Loupe",
            "version": VERSION,
            "description": "Classifies images. Every problem is an RFC 9457 object with a stable code. "
            "Routes with the apiKey scheme need a key if the deployment requires one.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": ".", "description": "Where this document lies."}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": problem(sorted(examples()))},
            "examples": {code: {"value": value} for code, value in sorted(examples().items())},
            "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
        "x-loupe-gateway": {
            "binaryMediaTypes": list(BINARY_MEDIA_TYPES),
            "imagePaths": [route.path for route in ROUTES if route.name in IMAGE_OPERATIONS],
            "responses": {
                name: gateway_example(problem, "$context.requestId")
                for problem in GATEWAY_PROBLEMS
                for name in problem.responses
            },
            "retryAfter": {
                name: problem.retry_after
                for problem in GATEWAY_PROBLEMS
                for name in problem.responses
                if problem.retry_after is not None
            },
        },
    }


def _head(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the operation of HEAD: that of GET without a body."""
    responses = {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in operation["responses"].items()
    }
    return {**operation, "operationId": f"{operation['operationId']}Head", "responses": responses}
