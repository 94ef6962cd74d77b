"""The deployed stack as the tests see it, and how they wait for what it does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud import cloud
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.deploy import Deployer
from localcloud.processes import wait_until
from localcloud.state import State

RESERVED_CONCURRENCY = 10
QUIETLY = Steps(lambda _what, _seconds: None)


@dataclass(frozen=True)
class Response:
    """An HTTP response, its header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Deployed:
    """The deployed stack, and how to reach it."""

    state: State
    account: Account
    endpoint: Mapping[str, Any]
    settings: Mapping[str, Any]

    def call(self, path: str, body: bytes | None = None, content_type: str = "", key: bool = True) -> Response:
        """Call a route; a body makes it a POST."""
        headers = {"Content-Type": content_type} if content_type else {}
        if key:
            headers["x-api-key"] = self.endpoint["api_key"]
        request = urllib.request.Request(f"{self.endpoint['url']}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return _response(answer)
        except urllib.error.HTTPError as error:
            return _response(error)

    def classify(self, body: bytes, content_type: str = "image/jpeg", key: bool = True) -> Response:
        """Classify, and once more for as long as the usage plan has no token left for it."""
        answers = [self.call("/v1/classify", body, content_type, key)]
        wait_until(lambda: _admitted(answers, lambda: self.call("/v1/classify", body, content_type, key)), 30, 0.2)
        return answers[-1]

    def client(self, service: str) -> Any:
        return self.account.client(service)

    @property
    def outputs(self) -> Mapping[str, str]:
        outputs: Mapping[str, str] = self.endpoint["outputs"]
        return outputs

    @property
    def deployer(self) -> Deployer:
        return Deployer(self.state, self.account)

    def environments(self) -> int:
        """How many execution environments the fleet has."""
        functions = cloud.status(self.state)["fleet"]["functions"]
        return sum(pool["busy"] + pool["idle"] for pool in functions.values())


def _admitted(answers: list[Response], again: Callable[[], Response]) -> bool:
    if answers[-1].status != 429:
        return True
    answers.append(again())
    return answers[-1].status != 429


def _response(answer: Any) -> Response:
    return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def until(condition: Callable[[], Any], seconds: float) -> None:
    """Wait for a condition; fail if it does not come about."""
    assert wait_until(lambda: bool(condition()), seconds, 0.1), "the condition did not come about in time"
