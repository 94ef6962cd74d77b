"""AWS as `tools.doctor` meets it: botocore's own stubs, with the errors and messages that AWS answers with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import boto3
from botocore.stub import Stubber

from infra.settings import Settings, load_settings
from tools.doctor.aws import Aws
from tools.doctor.checks import CheckContext, examine
from tools.doctor.engine import Completed
from tools.doctor.findings import Finding, Level

ACCOUNT, REGION = "111122223333", "eu-central-1"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:Loupe-prod-Alarms"
DIGEST = f"sha256:{'0a' * 32}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Loupe-prod-ApiCloudWatchRole-1A2B"
DOCKER = {"Client": {"Version": "27.5"}, "Server": {"Version": "27.5", "Os": "linux", "Arch": "amd64"}}
# What a healthy account answers: an operation's response, or an AWS error as (code, message, status).
Answer = Mapping[str, Any] | tuple[str, str, int]
HEALTHY: dict[str, Answer] = {
    "sts.get_caller_identity": {"Account": ACCOUNT, "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/me"},
    "ssm.get_parameter": {"Parameter": {"Value": "30"}},
    "lambda.get_account_settings": {
        "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
    },
    "lambda.get_function_concurrency": ("ResourceNotFoundException", "Function not found", 404),
    "lambda.list_versions_by_function": ("ResourceNotFoundException", "Function not found", 404),
    "apigateway.get_account": {},
    "ecr.describe_repositories": {"repositories": []},
    "cloudformation.describe_stacks": ("ValidationError", "Stack with id Loupe-prod does not exist", 400),
}


_SESSION = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
# Names of services in botocore's events, where they differ.
_EVENTS = {"apigateway": "api-gateway"}
# Making a client reads its service's model: once for all tests.
_CLIENTS: dict[str, Any] = {}


class Paging:
    """A client whose paginators ask for each page by a function of the operation's name and its arguments."""

    def __init__(self, client: Any, ask: Callable[..., Any]) -> None:
        self._client, self._ask = client, ask

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_paginator(self, operation: str) -> Any:
        paginator = self._client.get_paginator(operation)
        paginator._method = partial(self._ask, operation)
        return paginator


class StubbedAws(Aws):
    """Each operation has one answer, however often it is called; what was called is kept."""

    def __init__(self, answers: Mapping[str, Answer | Exception], region: str = REGION) -> None:
        super().__init__(_SESSION, region, attempts=1)
        self._answers = answers
        self._clients = _CLIENTS
        self.calls: list[str] = []

    def client(self, service: str) -> Any:
        return Paging(super().client(service), partial(self.call, service))

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        name = f"{service}.{operation}"
        self.calls.append(name)
        assert name in self._answers, f"{name} was not expected"
        answer = self._answers[name]
        if isinstance(answer, Exception):
            return self._raising(service, operation, answer, arguments)
        with Stubber(self.client(service)) as stub:
            if isinstance(answer, tuple):
                code, message, status = answer
                stub.add_client_error(operation, code, message, status)
            else:
                stub.add_response(operation, dict(answer))
            return super().call(service, operation, **arguments)

    def without_retries(self, *, read_timeout: float = 10) -> Aws:
        return self

    def _raising(self, service: str, operation: str, failure: Exception, arguments: Mapping[str, Any]) -> Any:
        """Fail where botocore would: while the request is made, after its parameters were checked."""

        def fail(**_: Any) -> None:
            raise failure

        events, event = self.client(service).meta.events, f"before-send.{_EVENTS.get(service, service)}"
        events.register(event, fail)
        try:
            return super().call(service, operation, **arguments)
        finally:
            events.unregister(event, fail)


def engine(answer: Any = DOCKER, builder: str = "", *, code: int = 0, errors: str = "") -> Any:
    """A container engine: what ``version`` prints, and the platforms that ``buildx inspect`` lists. None: not there."""

    def run(arguments: Sequence[str]) -> Completed | None:
        if answer is None:
            return None
        if arguments[1] == "version":
            return Completed(code, answer if isinstance(answer, str) else json.dumps(answer), errors)
        return Completed(0 if builder else 1, builder, "")

    return run


def environment(name: str = "prod", **patch: Any) -> Settings:
    """An environment that nothing is to be said about, with what the patch changes."""
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "alarms": {"subscriptions": ["on-call@example.com"]},
        "tags": {"Owner": "vision", "CostCenter": "4711"},
        "function": {"reserved_concurrency": 50},
    }
    return load_settings({"environments": {name: values}}, name, patch)


def findings(
    settings: Settings | None = None, *, runner: Any = None, config: bytes | Exception = b"{}", **answers: Any
) -> list[Finding]:
    """The findings of a healthy account, with these answers in place of its own (``sts__get_caller_identity=...``)."""
    responses: dict[str, Answer | Exception] = {
        **HEALTHY,
        **{name.replace("__", "."): value for name, value in answers.items()},
    }

    def download(url: str) -> bytes:
        if isinstance(config, Exception):
            raise config
        return config

    around = CheckContext(StubbedAws(responses), runner=runner or engine(), download=download)
    return examine(settings or environment(), around)


def one(report: list[Finding], check: str, level: Level | None = None) -> Finding:
    (finding,) = [item for item in report if item.check == check and level in (None, item.level)]
    return finding
