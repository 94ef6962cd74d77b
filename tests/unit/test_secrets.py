"""Secrets in every field of a request: none of them is in any byte that the function emits.

The handler runs in a separate process, with a root logger that writes everything, as a runtime might set it up.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from events import form_body, http, json_body, rest
from images import jpeg, noise

PROJECT = Path(__file__).parents[2]
PROGRAM = """
import json, logging, sys, warnings
from types import SimpleNamespace
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
logging.getLogger("library").warning("control: the root logger writes")
warnings.warn("control: warnings are written")
sys.path.insert(0, sys.argv[1])
import handler
context = SimpleNamespace(aws_request_id="request-1", get_remaining_time_in_millis=lambda: 20_000)
answers = [handler.handler(event, context) for event in json.load(open(sys.argv[2]))]
json.dump(answers, open(sys.argv[3], "w"))
"""
IMAGE = jpeg(noise(48, 48))
BROKEN = IMAGE[: len(IMAGE) // 2]
# As API keys, access keys, tokens, ids and passwords look.
FORMS = (
    "Xq7{}Zk93mVb0TnR5yLw8sJd2fGh4aPc6eUi1oQxZzAb",
    "AKIA{}QXW7NP4LZK2J",
    "eyJhbGciOiJIUzI1NiJ9.{}eyJzdWIiOiIxMjM0NTY3ODkwIn0",
    "5f0c{}e1-77aa-4b1c-9d2e-3f4a5b6c7d8e",
    "p4ss{}w0rd",
)


class Secrets:
    """Makes a new secret for each field, and knows them all."""

    def __init__(self, form: str) -> None:
        self._form, self.values = form, []

    def __call__(self) -> str:
        # Letters only: a number in two places would be found in the other.
        number = len(self.values)
        secret = self._form.format("".join("GHJKMNPQRS"[int(digit)] for digit in f"{number:03}"))
        self.values.append(secret)
        return secret


def events(secret: Secrets) -> list[dict[str, Any]]:
    """Requests with a secret in every place that a caller can fill."""

    def headers(**more: str) -> dict[str, str]:
        names = ("X-Api-Key", "Authorization", "Cookie", "User-Agent", "X-Forwarded-For", "Referer", "If-None-Match",
                 "Origin", "X-Amzn-Trace-Id", "X-Request-Id", "Content-Encoding")  # fmt: skip
        return {name: secret() for name in names} | {f"X-{secret()}": secret()} | more

    def urls() -> list[str]:
        templates = (
            "https://{}@host.example/a.jpg", "https://user:{}@host.example/a.jpg", "https://{}.example/a.jpg",
            "https://{}/a.jpg", "https://host.example/{}", "https://host.example/a?k={}", "https://host.example/#{}",
            "https://{}/x@host.example", "https://host.example\\{}", "https://h.example;token={}/", "{}://host.example/",
            "https://host.example:{}/", "https://127.0.0.1/{}", "https://[{}]/", "//{}", "{}", "https://allowed.example:1/{}",
        )  # fmt: skip
        return [template.format(secret()) for template in templates]

    def part(name: str, filename: str | None, kind: str | None, content: bytes = IMAGE) -> dict[str, Any]:
        sent = form_body((name, content, filename, kind), boundary=secret().replace(".", "").replace("!", ""))
        return {**sent, "headers": headers(**sent["headers"])}

    values: list[Any] = [{"url": url} for url in urls()]
    values += [
        {secret(): 1}, {secret(): secret(), "url": "https://host.example"}, {"image": secret()}, {"image": [secret()]},
        {"image": f"data:{secret()},{secret()}"}, {"image": base64.b64encode(secret().encode()).decode()},
        {"s3": secret()}, {"s3": {"bucket": secret(), "key": secret(), "version_id": secret()}},
        {"s3": {"bucket": "allowed-bucket", "key": secret(), secret(): 1}},
        {"s3": {"bucket": "allowed-bucket", "key": f"\n{secret()}"}}, {"top": secret(), "url": "https://host.example"},
    ]  # fmt: skip
    sent: list[dict[str, Any]] = [{**json_body(value), "headers": headers(**{"Content-Type": "application/json"})}
                                  for value in values]  # fmt: skip
    bodies = [
        secret(), f'{{"{secret()}', f'{{"url": {secret()}}}', f'{{"{secret()}": "{secret()}" "', f"image={secret()}",
        f"@{secret()}", f"data:image/jpeg;base64,{secret()}", f"--{secret()}\r\nContent-Disposition: form-data",
        (twice := secret()) and f'{{"{twice}": 1, "{twice}": 2}}',
    ]  # fmt: skip
    for body in [*bodies, IMAGE, BROKEN]:
        for kind in ("", "application/json", "image/jpeg", f"text/{secret()}", f"multipart/form-data; {secret()}"):
            more = {"Content-Type": kind} if kind else {}
            sent += [{"body": body, "headers": headers(**more)}]
    sent += [
        part(secret(), secret(), "image/jpeg"), part("file", secret(), secret()), part(secret(), None, None, b"text"),
        part("top", None, None, secret().encode()), part('f"; x="' + secret(), secret(), None),
    ]  # fmt: skip
    for broken in (
        f"--B\r\n{secret()}\r\n\r\nx\r\n--B--\r\n",
        f"--B\r\n{secret()}: {secret()}\r\n\r\nx\r\n--B--\r\n",
        f'--B\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: {secret()}\r\n\r\n--B--\r\n',
        f"--B\r\nContent-Disposition: {secret()}\r\n\r\nx\r\n--B--\r\n",
        f"{secret()}--B\r\n",
        f'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--B--\r\n{secret()}',
    ):
        kind = f"multipart/form-data; boundary=B; {secret()}={secret()}"
        sent.append({"body": broken, "headers": headers(**{"Content-Type": kind})})
    sent.append({"body": IMAGE, "headers": headers(), "query": {secret(): "1"}})
    sent.append({"body": IMAGE, "headers": headers(), "query": {"top": secret()}})
    sent.append({"body": IMAGE, "headers": headers(), "query": {"scores": secret()}})
    requests = [make(**request) for request in sent for make in (rest, http)]
    batch = {"items": [*values, secret(), [secret()]], "top": 1}
    requests.append(rest(path="/v1/classify/batch", **json_body(batch)))
    requests.append(rest(path="/v1/classify/batch", **json_body({"items": [], secret(): secret()})))
    requests += [
        rest(path="/v1/uploads", body=secret()),
        rest("GET", f"/v1/{secret()}"),
        rest(secret(), "/v1/classify"),
    ]
    requests.append(http("GET", f"/{secret()}", stage=secret()))
    return [*requests, *values, batch, {secret(): secret()}]


def spellings(secret: str) -> set[bytes]:
    """How a secret could show: its first half, alone or within it all, its base64, its percent-encoding."""
    text = secret.encode()
    half, encoded = max(8, len(text) // 2), quote(secret, safe="").encode()
    return {text[:half], encoded[:half], base64.b64encode(text)[:-4]}


@pytest.mark.parametrize("form", FORMS)
def test_no_emitted_byte_holds_a_secret(form: str, tiny_directory: Path, tmp_path: Path) -> None:
    secrets = Secrets(form)
    sent = events(secrets)
    (tmp_path / "events.json").write_text(json.dumps(sent), "utf-8")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, PROJECT / "function", tmp_path / "events.json", tmp_path / "answers.json"],
        env={
            "LOUPE_MODELS_DIR": str(tiny_directory.parent),
            "LOUPE_MODEL": tiny_directory.name,
            "LOUPE_URL_POLICY": "allow-list",
            "LOUPE_URL_HOSTS": "allowed.example",
            "LOUPE_S3_LOCATIONS": "other-bucket",
        },
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    emitted = run.stdout + run.stderr
    assert b"control: the root logger writes" in run.stderr
    assert b"control: warnings are written" in run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert sum(line.get("message") == "request" for line in lines) == len(sent)
    assert len(secrets.values) > 200
    # Nothing but the control's two messages is written beside the JSON lines.
    assert all(b"control" in line or line.startswith(b"  warnings.warn") for line in run.stderr.splitlines())
    for secret in secrets.values:
        for spelling in spellings(secret):
            at = emitted.find(spelling)
            assert at < 0, emitted[max(0, at - 200) : at + 100]


def test_responses_do_not_contain_keys(tiny_directory: Path) -> None:
    """The caller has them already; but answers are pasted into tickets, and some clients log them."""
    from fakes import make_app
    from loupe.classifier import Classifier

    secrets = Secrets(FORMS[0])
    app = make_app(Classifier.load(tiny_directory))
    context = type("Context", (), {"aws_request_id": "r", "get_remaining_time_in_millis": lambda _: 20_000})()
    for event in events(secrets):
        body = event.get("body") or ""
        if "requestContext" in event and "url" not in body:
            answer = json.dumps(app.http(event, context))
            shown = [secret for secret in secrets.values if secret[:12] in answer]
            # An origin and an ETag are the caller's by their protocols; CORS is off here.
            assert not shown, answer
