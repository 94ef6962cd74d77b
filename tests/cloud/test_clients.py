"""Ordinary HTTP clients, with their default headers, classify an image; their mistakes are named."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import IOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import clients
import httpx
import pytest
import requests
from deployment import Response, send
from expect import assert_problem, assert_right

if TYPE_CHECKING:
    from deployment import Deployed

    from localcloud.models import Golden

Post = Callable[[str, dict[str, str], Path], Response]


def answer(status: int, body: bytes | str) -> Response:
    data = body.encode() if isinstance(body, str) else body
    return Response(status, {"content-type": "application/problem+json"}, data)


@contextmanager
def closing(value: Any) -> Iterator[Any]:
    """Close the files of a request's body, which requests and aiohttp leave open."""
    try:
        yield value
    finally:
        for item in value.values() if isinstance(value, dict) else [value]:
            if isinstance(item, IOBase):
                item.close()


def curl(*arguments: str) -> Post:
    """Make a client of curl; ``FILE`` in an argument is the image's path."""

    def post(url: str, headers: dict[str, str], file: Path) -> Response:
        command = ["curl", "-sS", "-w", "\n%{http_code}", *(f"-H{name}: {value}" for name, value in headers.items())]
        command += [argument.replace("FILE", str(file)) for argument in arguments]
        out = subprocess.run([*command, url], check=True, capture_output=True, timeout=60).stdout
        body, _, status = out.rpartition(b"\n")
        return answer(int(status), body)

    return post


def node(name: str) -> Post:
    def post(url: str, headers: dict[str, str], file: Path) -> Response:
        folder = clients.node()
        done = clients.run(clients.NODE, "send.mjs", name, url, headers["x-api-key"], file, cwd=folder)
        sent: dict[str, Any] = json.loads(done.stdout)
        return answer(sent["status"], sent["body"])

    return post


def with_requests(**arguments: Callable[[Path], Any]) -> Post:
    def post(url: str, headers: dict[str, str], file: Path) -> Response:
        ((name, make),) = arguments.items()
        with closing(make(file)) as body:
            response = requests.post(url, headers=headers, timeout=60, **{name: body})
        return answer(response.status_code, response.content)

    return post


def with_httpx(**arguments: Callable[[Path], Any]) -> Post:
    def post(url: str, headers: dict[str, str], file: Path) -> Response:
        sent = {name: make(file) for name, make in arguments.items()}
        response = httpx.post(url, headers=headers, timeout=60, **sent)
        return answer(response.status_code, response.content)

    return post


def with_aiohttp(make: Callable[[Path], Any]) -> Post:
    async def call(url: str, headers: dict[str, str], file: Path) -> Response:
        with closing(make(file)) as body:
            async with aiohttp.ClientSession() as session, session.post(url, headers=headers, data=body) as response:
                return answer(response.status, await response.read())

    return lambda url, headers, file: asyncio.run(call(url, headers, file))


def with_urllib(url: str, headers: dict[str, str], file: Path) -> Response:
    return send(urllib.request.Request(url, file.read_bytes(), headers))


def with_http_client(url: str, headers: dict[str, str], file: Path) -> Response:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request("POST", parts.path, file.read_bytes(), headers)
        response = connection.getresponse()
        return answer(response.status, response.read())
    finally:
        connection.close()


def encoded(file: Path) -> dict[str, str]:
    return {"image": base64.b64encode(file.read_bytes()).decode()}


CLIENTS: dict[str, Post] = {
    "curl --data-binary": curl("--data-binary", "@FILE"),
    "curl -T": curl("-X", "POST", "-T", "FILE"),
    "curl -F": curl("-F", "file=@FILE"),
    "curl -F with a type": curl("-F", "file=@FILE;type=image/jpeg"),
    "curl -F without a file name": curl("-F", "file=<FILE"),
    "requests data": with_requests(data=Path.read_bytes),
    "requests stream": with_requests(data=lambda file: file.open("rb")),
    "requests files": with_requests(files=lambda file: {"image": file.open("rb")}),
    "requests json": with_requests(json=encoded),
    "httpx content": with_httpx(content=Path.read_bytes),
    "httpx files": with_httpx(files=lambda file: {"file": file.read_bytes()}),
    "httpx json": with_httpx(json=encoded),
    "aiohttp bytes": with_aiohttp(Path.read_bytes),
    "aiohttp form": with_aiohttp(lambda file: {"file": file.open("rb")}),
    "urllib": with_urllib,
    "http.client": with_http_client,
    "Node fetch": node("fetch"),
    "Node fetch blob": node("fetch_blob"),
    "Node fetch form": node("fetch_form"),
    "undici": node("undici"),
    "axios": node("axios"),
}
MISTAKES: dict[str, tuple[Post, int, str]] = {
    "curl -d": (curl("-d", "@FILE"), 422, "--data-binary"),
    "curl -d with a form's field": (curl("--data-urlencode", "image@FILE"), 415, "URL-encoded form"),
    "curl --data-raw": (curl("--data-raw", "@photo.jpg"), 415, "--data-binary"),
    "curl -F without @": (curl("-F", "file=photo.jpg"), 400, "-F file=@photo.jpg"),
    "base64 text": (curl("-H", "Content-Type: image/jpeg", "--data-binary", "/9j/4AAQSkZJRgABA"), 415, "base64 text"),
    "Node fetch of a binary string": (node("fetch_string"), 422, "Latin-1"),
    "requests of decoded bytes": (
        with_requests(data=lambda file: file.read_bytes().decode("utf-8", "replace").encode()), 422, "U+FFFD",
    ),
}  # fmt: skip
TYPES = ["image/jpg", "image/pjpeg", "image/x-png", "image/*", "binary/octet-stream", "text/plain", "application/json",
         "application/x-www-form-urlencoded", "application/octet-stream", "image/jpeg"]  # fmt: skip


def post(deployed: Deployed, client: Post, file: Path, path: str = "v1/classify") -> Response:
    return client(deployed.endpoint["url"] + path, {"x-api-key": deployed.endpoint["api_key"]}, file)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_with_its_own_headers_gets_the_right_label(
    client: str, deployed: Deployed, golden_cases: list[Golden]
) -> None:
    assert_right(post(deployed, CLIENTS[client], golden_cases[0].path), golden_cases[0])


def test_curl_json(deployed: Deployed, golden_cases: list[Golden], tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps(encoded(golden_cases[0].path)), "utf-8")
    assert_right(post(deployed, curl("--json", "@FILE"), body), golden_cases[0])


@pytest.mark.parametrize("kind", TYPES)
def test_an_image_is_accepted_with_any_media_type(kind: str, deployed: Deployed, golden_cases: list[Golden]) -> None:
    assert_right(deployed.classify(golden_cases[0].path.read_bytes(), kind), golden_cases[0])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake: str, deployed: Deployed, golden_cases: list[Golden]) -> None:
    client, status, words = MISTAKES[mistake]
    response = post(deployed, client, golden_cases[0].path)
    assert response.status == status, response.body
    assert words in response.json["detail"]


def test_a_form_sent_to_batch_is_rejected_with_the_accepted_body(
    deployed: Deployed, golden_cases: list[Golden]
) -> None:
    response = post(deployed, CLIENTS["curl -F"], golden_cases[0].path, "v1/classify/batch")
    assert_problem(response, 415, "unsupported_media_type")
    assert '{"items"' in response.json["detail"]


def test_a_wrong_method_is_rejected(deployed: Deployed) -> None:
    response = deployed.call("/v1/classify", method="GET")
    assert_problem(response, 404, "not_found")
    assert "does not take this method" in response.json["detail"]


@pytest.mark.parametrize(("size", "status"), [(3_300_000, 200), (3_600_000, 413)])
def test_base64_in_json_is_limited_to_3_4_mb(
    size: int, status: int, deployed: Deployed, golden_cases: list[Golden]
) -> None:
    # What follows a JPEG's end is no part of it.
    image = base64.b64encode(golden_cases[0].path.read_bytes().ljust(size, b"\0")).decode()
    assert deployed.classify_json(image=image).status == status


@pytest.mark.parametrize(("size", "status"), [(4_400_000, 200), (4_800_000, 413)])
def test_an_image_body_is_limited_to_4_5_mb(
    size: int, status: int, deployed: Deployed, golden_cases: list[Golden]
) -> None:
    assert deployed.classify(golden_cases[0].path.read_bytes().ljust(size, b"\0"), "").status == status
