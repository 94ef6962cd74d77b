"""The smoke test of a delivered stack: its address, its key, the lookup role, and the wait for a first start."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from delivery_fakes import JWT, rejected

from infra.settings import load_settings
from tools.delivery import smoke, stack
from tools.delivery.builds import read_context
from tools.delivery.errors import DeliveryError
from tools.smoke.credentials import ApiKey
from tools.smoke.endpoint import Endpoint


class Session:
    """An account with one stack."""

    region_name = "eu-central-1"

    def __init__(self, **outputs: str) -> None:
        self.outputs = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]

    def client(self, service: str) -> Any:
        assert service in ("cloudformation", "apigateway")
        return self

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        if not self.outputs:
            raise rejected("ValidationError", f"Stack with id {StackName} does not exist")
        return {"Stacks": [{"Outputs": self.outputs}]}

    def get_api_key(self, *, apiKey: str, includeValue: bool) -> Any:  # noqa: N803
        assert includeValue
        return {"value": f"value of {apiKey}"}


def smoke_command(session: Session, auth: dict[str, Any] | None = None, **variables: str) -> Any:
    settings = load_settings(read_context(), "dev", {"auth": auth} if auth else None)
    return smoke.command(settings, session, ["--latency-requests", "5"], variables)  # type: ignore[arg-type]


def test_the_smoke_test_takes_address_and_key_from_the_stack_and_the_key_is_in_no_argument() -> None:
    arguments, variables = smoke_command(Session(Url="https://x/live/", ApiKeyId="k1"))
    assert arguments[arguments.index("--url") + 1] == "https://x/live/"
    assert arguments[-2:] == ["--latency-requests", "5"]
    assert variables == {"LOUPE_API_KEY": "value of k1"}
    assert not [argument for argument in arguments if "value of" in argument]


def test_other_modes_sign_or_need_a_token() -> None:
    session = Session(Url="https://x/live/")
    arguments, _ = smoke_command(session, {"mode": "iam"})
    assert arguments[-4:] == ["--auth", "iam", "--region", "eu-central-1"]
    with pytest.raises(DeliveryError, match="LOUPE_TOKEN"):
        smoke_command(session, JWT)
    assert smoke_command(session, JWT, LOUPE_TOKEN="t")[1] == {}


def test_an_environment_that_is_not_deployed_is_named() -> None:
    with pytest.raises(DeliveryError, match="Loupe-dev is not deployed"):
        smoke_command(Session())
    with pytest.raises(DeliveryError, match="ApiKeyId"):
        smoke_command(Session(Url="https://x/live/"))


def test_an_error_of_cloudformation_is_not_a_missing_stack() -> None:
    class Denied(Session):
        def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
            raise rejected("AccessDenied", f"not authorized for {StackName}")

    with pytest.raises(DeliveryError, match="AccessDenied"):
        stack.outputs(Denied(), "Loupe-dev")


def test_the_lookup_role_is_that_of_the_bootstrap() -> None:
    role = stack.lookup_role("111111111111", "eu-central-1")
    assert role == "arn:aws:iam::111111111111:role/cdk-hnb659fds-lookup-role-111111111111-eu-central-1"


@pytest.mark.parametrize(("ready_after", "settled"), [(1, True), (3, True), (1000, False)])
def test_the_smoke_test_waits_for_health_and_for_the_key_to_be_known(ready_after: int, settled: bool) -> None:
    """The first start of an image and a new key take a while; both would fail checks that nothing is wrong with."""
    requests: list[str] = []
    now = [0.0]

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.path)
        count = requests.count(request.url.path)
        if count < ready_after:
            if request.url.path.endswith("health") and count == 1:
                raise httpx.ConnectError("not yet")
            return httpx.Response(403)
        return httpx.Response(200)

    endpoint = Endpoint("https://x/live/", ApiKey("k"), transport=httpx.MockTransport(answer))

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert smoke.wait(endpoint, sleep=sleep, clock=lambda: now[0]) is settled
    assert not settled or requests[-1] == "/live/v1/models"
    assert now[0] <= smoke.SETTLE_SECONDS + 5
