"""The deployed stack as the tests see it, and how they wait for what it does."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcloud import cloud
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.deploy import Deployer
from localcloud.errors import CloudError
from localcloud.processes import wait_until
from localcloud.state import PROJECT, State, runtime_emulator

RESERVED_CONCURRENCY = 10
# The bucket and the prefix that the deployment may read images from, and the page elsewhere that may call it.
IMAGE_BUCKET, IMAGE_PREFIX = "loupe-test-images", "shared/"
MAX_BATCH = 12
ORIGIN = "https://app.example.com"
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

    def call(
        self,
        path: str,
        body: bytes | None = None,
        content_type: str = "",
        key: bool = True,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call a route; a body makes it a POST."""
        sent = dict(headers or {})
        if content_type:
            sent["Content-Type"] = content_type
        if key:
            sent["x-api-key"] = self.endpoint["api_key"]
        return send(
            urllib.request.Request(f"{self.endpoint['url']}{path.removeprefix('/')}", body, sent, method=method)
        )

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Response:
        return self.call(path, body, content_type)

    def classify(self, body: bytes, content_type: str = "image/jpeg", query: str = "") -> Response:
        return self.post(f"/v1/classify{query}", body, content_type)

    def classify_json(self, **source: Any) -> Response:
        return self.post("/v1/classify", json.dumps(source).encode())

    def invoke(self, event: Any) -> Any:
        """Return the function's response to an event, by Lambda's Invoke API."""
        answer = self.client("lambda").invoke(
            FunctionName=self.outputs["FunctionName"], Qualifier="live", Payload=json.dumps(event).encode()
        )
        assert (answer["StatusCode"], answer.get("FunctionError")) == (200, None)
        return json.load(answer["Payload"])

    def client(self, service: str) -> Any:
        return self.account.client(service)

    @contextmanager
    def released(self, **changed: str) -> Iterator[None]:
        """The alias on a version with other variables, as a release would have it; afterwards on the present one."""
        functions, name = self.client("lambda"), self.outputs["FunctionName"]
        present = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **changed}})
        version = functions.publish_version(FunctionName=name)["Version"]
        assert version != present
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
        try:
            yield
        finally:
            functions.update_alias(FunctionName=name, Name="live", FunctionVersion=present)
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    @contextmanager
    def plan(self, rate_limit: int, burst_limit: int) -> Iterator[None]:
        """The usage plan with other limits; afterwards with the present ones."""
        gateway = self.client("apigateway")
        (plan,) = gateway.get_usage_plans()["items"]

        def limit(limits: Mapping[str, Any]) -> None:
            patch = [{"op": "replace", "path": f"/throttle/{name}", "value": str(limits[name])} for name in limits]
            gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=patch)

        limit({"rateLimit": rate_limit, "burstLimit": burst_limit})
        try:
            yield
        finally:
            limit(plan["throttle"])

    @property
    def outputs(self) -> Mapping[str, str]:
        outputs: Mapping[str, str] = self.endpoint["outputs"]
        return outputs

    @property
    def deployer(self) -> Deployer:
        return Deployer(self.state, self.account)

    def environments(self) -> int:
        """How many execution environments the endpoint's function has."""
        pool = cloud.status(self.state)["fleet"]["functions"][self.outputs["FunctionName"]]
        count: int = pool["busy"] + pool["idle"]
        return count


@contextmanager
def own_cloud(folder: Path, *models: str) -> Iterator[State]:
    """Give a state for a local cloud; take down at the end what was started with it, and remove these models.

    A test that needs it is skipped where the Lambda runtime emulator cannot run, saying why.
    """
    try:
        runtime_emulator()
    except CloudError as error:
        pytest.skip(str(error))
    state = State(folder)
    try:
        yield state
    finally:
        cloud.down(state)
        for pattern in models:
            for model in (PROJECT / "models").glob(pattern):
                shutil.rmtree(model)


def deployed_stack(state: State, settings: Mapping[str, Any]) -> Deployed:
    """Deploy these settings to a local cloud, which is started if it is not running."""
    endpoint = cloud.up(state, 0, settings, QUIETLY)
    account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
    return Deployed(state, account, endpoint, settings)


def send(request: urllib.request.Request) -> Response:
    """Send a request; whatever its status, it has an answer."""
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return _response(answer)
    except urllib.error.HTTPError as error:
        return _response(error)


def _response(answer: Any) -> Response:
    return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def until(condition: Callable[[], Any], seconds: float) -> None:
    """Wait for a condition; fail if it does not come about."""
    assert wait_until(lambda: bool(condition()), seconds, 0.1), "the condition did not come about in time"
