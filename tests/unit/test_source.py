"""Readers of sources are created on first use, independently of each other."""

from __future__ import annotations

import threading

import loupe.sources.s3_reader
import pytest
from fakes import FakeFetcher, Opened
from loupe.image import Limits
from loupe.sources import Sources
from loupe.sources.inline import Inline
from loupe.sources.s3 import S3Location, S3Object, S3Rules, S3Source
from loupe.sources.url import Url

RULES = S3Rules((S3Location("all"),))


def test_a_url_does_not_wait_for_the_import_and_client_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    importing, released = threading.Event(), threading.Event()

    class SlowToMake:
        def __init__(self, *_: object) -> None:
            importing.set()
            assert released.wait(20)

        def read(self, source: S3Object, **_: object) -> bytes:
            return b"object"

    monkeypatch.setattr(loupe.sources.s3_reader, "ObjectReader", SlowToMake)
    sources = Sources({Url: Opened(FakeFetcher({"https://a": b"page"})), S3Object: S3Source(RULES, Limits())})
    answers: dict[str, bytes] = {}
    first = threading.Thread(target=lambda: answers.update(s3=sources.read(S3Object("all", "key"))))
    second = threading.Thread(target=lambda: answers.update(url=sources.read(Url("https://a"))))
    first.start()
    try:
        assert importing.wait(20)
        second.start()
        second.join(20)
        assert answers == {"url": b"page"}
        assert sources.read(Inline(b"inline")) == b"inline"
    finally:
        released.set()
    first.join(20)
    assert answers == {"url": b"page", "s3": b"object"}


def test_seconds_and_hosts_are_passed_to_the_fetcher() -> None:
    timeouts: list[float | None] = []

    class Watched(FakeFetcher):
        def read(self, source: Url, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
            timeouts.append(seconds)
            return super().read(source, seconds=seconds, hosts=hosts)

    hosts: list[str] = []
    sources = Sources({Url: Opened(Watched({"https://a.example/x": b"page"}))})
    assert sources.read(Url("https://a.example/x"), seconds=1.5, hosts=hosts) == b"page"
    assert (timeouts, hosts) == ([1.5], ["a.example"])
