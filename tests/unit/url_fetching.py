"""Fetch from a site on the loopback interface whose name a fake resolver knows."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING, Any

import images
import pytest
from loupe.errors import Problem
from loupe.sources.url import UrlRules
from loupe.sources.url_fetcher import Fetcher
from sites import HOST, Site, Visit, site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


IMAGE = images.png()
MAX_BYTES = 100_000
NAME = "images.example"
LOOPBACK = tuple(ipaddress.ip_network(text) for text in ("127.0.0.1/32", "127.0.0.3/32"))


class Names:
    """A resolver with a fixed answer for each name, or one after the other if there are several."""

    def __init__(self, **names: Any) -> None:
        self.answers = {name.replace("_", "."): answer for name, answer in names.items()}
        self.look_ups: list[str] = []

    def __call__(self, host: str, port: int, timeout: float) -> Sequence[Any]:
        self.look_ups.append(host)
        answer = self.answers.get(host, [])
        if answer and isinstance(answer[0], list):
            answer = answer.pop(0)
        return [ipaddress.ip_address(text) for text in answer]


def fetcher(served: Site, names: Names | None = None, *, tls: ssl.SSLContext | None = None, **rules: Any) -> Fetcher:
    settings = {"policy": "public", "schemes": ("http", "https"), "ports": (served.port,), "private_networks": LOOPBACK,
                "timeout_seconds": 5.0}  # fmt: skip
    return Fetcher(UrlRules(**{**settings, **rules}), MAX_BYTES, names or Names(images_example=[HOST]), tls=tls)


def fetch(answer: Callable[[Visit], None], path: str = "/p.png", **rules: Any) -> bytes:
    with site(answer) as served:
        return fetcher(served, **rules).fetch(f"http://{NAME}:{served.port}{path}")


def rejection(answer: Callable[[Visit], None], path: str = "/p.png", **rules: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        fetch(answer, path, **rules)
    assert caught.value.status < 500
    assert "127." not in caught.value.detail
    assert "::" not in caught.value.detail
    return caught.value
