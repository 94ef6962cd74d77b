"""Fakes of the network: a URL fetcher, and an S3 client that fails as S3 fails."""

from __future__ import annotations

import io
import logging
import sys
import threading
from typing import Any, ClassVar
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from loupe.classifier import Classifier
from loupe.errors import Problem, UrlUnreachable
from loupe.http.app import App
from loupe.service import Service
from loupe.settings import MetricsRules
from loupe.sources import Sources
from loupe.sources.s3 import S3Object, S3Rules
from loupe.sources.s3_reader import ObjectReader
from loupe.sources.url import Url
from loupe.telemetry import Telemetry


class FakeFetcher:
    """URLs by what they give: bytes, or a problem that is raised. ``gate`` holds every fetch until it is set."""

    def __init__(self, pages: dict[str, bytes | Exception], gate: threading.Event | None = None) -> None:
        self.pages, self.gate, self.fetched = pages, gate, []

    def read(self, source: Url, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
        url = source.url
        self.fetched.append(url)
        if self.gate is not None:
            assert self.gate.wait(20)
        page = self.pages.get(url, UrlUnreachable("The host has no address."))
        if isinstance(page, Exception):
            raise page
        if hosts is not None:
            hosts.append(urlsplit(url).hostname or "")
        return page


class Opened:
    """A source type whose reader is there already; ``rules`` reject sources before it reads."""

    def __init__(self, reader: Any, rules: Any = None) -> None:
        self.reader, self.rules = reader, rules

    def check(self, source: Any) -> None:
        if self.rules is not None:
            self.rules.check(source)

    def load(self) -> Any:
        return self.reader


class FakeS3:
    """Objects by (bucket, key). ``fail`` is a code of S3's, or an exception, that the next calls end with."""

    STATUS: ClassVar = {
        "NoSuchKey": 404,
        "NoSuchBucket": 404,
        "AccessDenied": 403,
        "SlowDown": 503,
        "InvalidAccessKeyId": 403,
    }

    def __init__(self, objects: dict[tuple[str, str], bytes], fail: str | Exception | None = None) -> None:
        self.objects, self.fail, self.calls = objects, fail, []
        self.bodies: list[FakeBody] = []

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        self.calls.append(arguments)
        if isinstance(self.fail, Exception):
            raise self.fail
        if self.fail:
            raise self._error(self.fail)
        content = self.objects.get((arguments["Bucket"], arguments["Key"]))
        if content is None:
            raise self._error("NoSuchKey")
        self.bodies.append(FakeBody(content))
        return {"Body": self.bodies[-1], "ContentLength": len(content)}

    def _error(self, code: str) -> ClientError:
        status = {"HTTPStatusCode": self.STATUS.get(code, 400)}
        message = "arn:aws:sts::000000000000:assumed-role/loupe is not authorized"
        return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": status}, "GetObject")


class FakeBody(io.BytesIO):
    """Like botocore's StreamingBody; counts what was read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


class Broken:
    """A source that raises an unexpected exception."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, source: Any, **_: Any) -> bytes:
        raise self.error


class CurrentStdout:
    """Standard output as it is when something is written, so that a test captures it."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


def make_app(
    classifier: Classifier,
    *,
    pages: dict[str, bytes | Exception] | None = None,
    s3: FakeS3 | None = None,
    s3_rules: S3Rules | None = None,
    sources: Any = None,
    gate: threading.Event | None = None,
    metrics: MetricsRules | None = None,
    initialization: str = "on-demand",
    log_level: str = "INFO",
    **options: Any,
) -> App:
    """An `App` whose network is made of fakes."""
    rules, most = s3_rules or S3Rules(), classifier.limits.max_bytes
    if sources is None:
        objects = Opened(ObjectReader(rules, most, s3 or FakeS3({})), rules)
        sources = Sources({Url: Opened(FakeFetcher(pages or {}, gate)), S3Object: objects})
    telemetry = Telemetry("test", log_level, metrics or MetricsRules(), initialization)
    for handler in logging.getLogger("loupe").handlers:
        handler.stream = CurrentStdout()
    return App(Service(classifier), sources, telemetry, s3_rules=rules, **options)


def problem_of(call: Any, *arguments: Any) -> Problem:
    """The problem that a call ends with."""
    try:
        call(*arguments)
    except Problem as problem:
        return problem
    raise AssertionError("no problem was raised")
