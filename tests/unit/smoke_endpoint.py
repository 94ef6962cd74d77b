"""An endpoint in memory: what the deployed one answers to the requests of a smoke test."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import httpx

DOCUMENT_BYTES = (Path(__file__).parents[2] / "docs" / "openapi.json").read_bytes()
DOCUMENT = json.loads(DOCUMENT_BYTES)
KEY, ORIGIN = "a-good-key", "https://app.example"
MANIFEST = "s3://inputs/smoke.jsonl"


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"type": f"urn:loupe:problem:{code}", "title": "t", "status": status, "detail": "d", "code": code}
    head = {"Content-Type": "application/problem+json", "X-Request-Id": "r", **headers}
    return httpx.Response(status, json={**body, "request_id": "r"}, headers=head)


class FakeEndpoint:
    """A fake of the deployed endpoint, for the requests of a smoke test.

    ``faults`` replace the response of a request; ``probability`` is that of every curly image.
    """

    def __init__(self, images: Mapping[bytes, str], *, probability: float = 0.9, uploads: bool = True) -> None:
        self.images, self.probability, self.uploads = dict(images), probability, uploads
        self.version, self.throttle_after, self.requests = "1.0.0", 10_000, 0
        self.uploaded = b""
        self.job_state = "succeeded"
        self.job_summary: dict[str, Any] = {"images": 2, "succeeded": 2}
        # Further models, by name: the model that answers under it.
        self.others: dict[str, str] = {}
        # Values of ``X-Experiment`` that answers have in turn, and the model that answers where none is named.
        self.assignments: list[str] = []
        self.assigned_model = "m"
        self.faults: list[Callable[[httpx.Request, httpx.Response], httpx.Response]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        response = self._answer(request)
        if request.headers.get("origin") == ORIGIN:
            response.headers["Access-Control-Allow-Origin"] = ORIGIN
        for fault in self.faults:
            response = fault(request, response)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/live")
        if request.url.host == "bucket.test":
            self.uploaded = parts(request)["file"]
            return httpx.Response(204)
        model = {"name": "m", "version": self.version, "variant": "fp32"}
        if request.method == "OPTIONS":
            return httpx.Response(204, headers={"Access-Control-Allow-Methods": "POST, OPTIONS"})
        if path == "/v1/health":
            return httpx.Response(200, json={"status": "ok", "model": model})
        if path == "/openapi.json":
            cached = request.headers.get("if-none-match") == '"e"'
            headers = {"Content-Type": "application/json", "ETag": '"e"'}
            return httpx.Response(304) if cached else httpx.Response(200, content=DOCUMENT_BYTES, headers=headers)
        if path == "/":
            headers = {"Content-Type": "text/html", "Content-Security-Policy": "default-src 'none'"}
            return httpx.Response(200, text="<html>", headers=headers)
        if request.headers.get("x-api-key") != KEY:
            return problem(403, "api_key_invalid")
        if self.requests > self.throttle_after:
            return problem(429, "too_many_requests", **{"Retry-After": "0"})
        if path == "/v1/models":
            described = {**model, "labels": ["curly", "straight"]}
            others = [{**described, "name": name} for name in self.others]
            return httpx.Response(200, json={"models": [described, *others], "limits": {"uploads": self.uploads}})
        if path.startswith("/v1/jobs"):
            return self._jobs(request.method, path, request.content)
        if path == "/v1/uploads":
            if not self.uploads:
                return problem(404, "uploads_off")
            place = {"url": "https://bucket.test/", "fields": {"key": "k"}}
            return httpx.Response(200, json={"upload": place, "s3": {"bucket": "b", "key": "k"}})
        if path in ("/v1/classify", "/v1/classify/batch") and self.assignments:
            assignment = self.assignments.pop(0)
            self.assignments.append(assignment)
            return self._with_model(request, path, self.assigned_model, {"X-Experiment": assignment})
        if path.startswith("/v1/models/"):
            return self._of_model(request, path, path.split("/")[3])
        return self._classification(request, path)

    def _with_model(self, request: httpx.Request, path: str, name: str, headers: Mapping[str, str]) -> httpx.Response:
        answer = self._classification(request, path)
        if answer.status_code != 200:
            return answer
        model = {"name": name, "version": self.version, "variant": "fp32"}
        timing = {"Server-Timing": answer.headers.get("Server-Timing", "")}
        return httpx.Response(200, json={**answer.json(), "model": model}, headers={**timing, **headers})

    def _classification(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/v1/classify":
            return self._classify(request)
        if path == "/v1/classify/batch":
            items = [base64.b64decode(item["image"]) for item in json.loads(request.content)["items"]]
            answers = [self._result(item) for item in items]
            results = [
                {"index": i, **({"result": a} if a else {"error": {"code": "unsupported_media_type"}})}
                for i, a in enumerate(answers)
            ]
            return httpx.Response(200, json={"results": results})
        return problem(404, "not_found")

    def _of_model(self, request: httpx.Request, path: str, name: str) -> httpx.Response:
        if name not in {"m", *self.others}:
            return problem(404, "not_found")
        answering = self.others.get(name, name)
        if path.endswith("/jobs"):
            self.job_summary = {**self.job_summary, "models": [{"name": answering}]}
            return self._jobs(request.method, "/v1/jobs", request.content)
        return self._with_model(request, path.replace(f"/models/{name}", ""), answering, {})

    def _jobs(self, method: str, path: str, body: bytes) -> httpx.Response:
        if path.startswith("/v1/jobs/own"):
            ended = {"id": "own", "state": self.job_state, "summary": self.job_summary, "error": None}
            return httpx.Response(200, json={"rows": []} if path.endswith("/rows") else ended)
        if path != "/v1/jobs":
            return problem(404, "job_not_found")
        if method == "GET":
            return httpx.Response(200, json={"jobs": [], "next": None})
        manifest = json.loads(body).get("manifest")
        if manifest is None:
            return problem(400, "request_invalid")
        return httpx.Response(202, json={"id": "own"}) if manifest == MANIFEST else problem(403, "s3_not_allowed")

    def _classify(self, request: httpx.Request) -> httpx.Response:
        body, kind = request.content, request.headers.get("content-type", "")
        if len(body) > 6_000_000:
            return problem(413, "request_too_large")
        if not body:
            return problem(400, "request_invalid")
        if kind.startswith("multipart/"):
            body = parts(request)["file"]
        elif body[:1] == b"{":
            try:
                value = json.loads(body)
            except ValueError:
                return problem(400, "request_invalid")
            body = self.uploaded if "s3" in value else base64.b64decode(value["image"].rpartition(",")[2])
        if body[:2] != b"\xff\xd8":
            return problem(415, "unsupported_media_type")
        result = self._result(body)
        if result is None:
            return problem(422, "image_undecodable")
        return httpx.Response(200, json=result, headers={"Server-Timing": "decode;dur=1, total;dur=5.5"})

    def _result(self, body: bytes) -> dict[str, Any] | None:
        label = self.images.get(body)
        if label is None and len(body) > 1_000_000:
            label = next(iter(self.images.values()))
        if label is None:
            return None
        other = {"curly": "straight", "straight": "curly"}[label]
        scores = {label: self.probability, other: 1 - self.probability}
        return {"label": label, "probability": self.probability, "scores": scores}


def parts(request: httpx.Request) -> dict[str, bytes]:
    """Fields and files of a multipart form by name."""
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + request.content)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in message.get_payload()
    }
