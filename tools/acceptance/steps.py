"""The steps of an acceptance, in order. Each proves one claim on a real deployment."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tools.acceptance import alarm, bulk, cost
from tools.acceptance import release as releases
from tools.acceptance.suite import Context, Step
from tools.acceptance.sweep import sweep
from tools.acceptance.target import AcceptanceError
from tools.smoke import card as cards
from tools.smoke.checks import all_checks
from tools.smoke.credentials import Anonymous, ApiKey, Credentials
from tools.smoke.endpoint import CheckError, Endpoint
from tools.smoke.suite import Options, Run
from tools.smoke.suite import execute as run_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ORIGIN = "https://acceptance.example"
_QUOTA = {"requests": 20_000, "period": "day"}
_CLIENT = {"rate": 20, "burst": 40, "quota": _QUOTA}
API_KEYS: Mapping[str, Any] = {
    "api": {"cors_origins": [ORIGIN]},
    "inputs": {"uploads": {"enabled": True}},
    "alarms": {"enabled": True, "evaluation_periods": 1},
    "auth": {"mode": "api-key", "clients": {"first": _CLIENT, "second": _CLIENT}},
    "bulk": {"enabled": True, "reserved_concurrency": None, "max_concurrency": 2},
    "firewall": {"enabled": False},
}
ONE_CLIENT = {**API_KEYS, "auth": {"mode": "api-key", "clients": {"first": _CLIENT}}}
IAM = {**API_KEYS, "auth": {"mode": "iam"}}
CANARY = {**ONE_CLIENT, "release": releases.RULES}
FIREWALL = {**ONE_CLIENT, "firewall": {"enabled": True}}
QUICK = "it needs another deployment, and --quick asks for one"
# This step and all after it deploy again.
_FIRST_REDEPLOYMENT = "redeploy without changes"
# An answer of the gateway follows a change of stage, keys or policy within this time.
_SETTLE_SECONDS = 120.0
# The gateway's hosts take a change over one after the other.
_AGREEING = 3
_SWEEP_SECONDS = 180.0
_OK, _FORBIDDEN = 200, (401, 403)


def steps(model: Path, *, quick: bool = False) -> tuple[list[Step], list[Step]]:
    """Return the steps, and those that always run.

    Parameters
    ----------
    model
        Folder of the model that is deployed.
    quick
        Skip what needs another deployment.
    """
    smoke = _smoke(model)
    ordinary = [
        Step("cost cap", cost.check, needs="cost", essential=True),
        Step("doctor", _doctor, needs="doctor", essential=True),
        Step("deploy", _deploy(API_KEYS), essential=True),
        Step("smoke test", smoke),
        Step("bulk job", lambda context: bulk.run_job(context, _credentials(context), model)),
        Step("alarm reaches a queue", alarm.check),
        Step("redeploy without changes", _no_diff, needs="diff"),
        Step("a removed client is rejected", _remove_client),
        Step("smoke test after the removal", smoke),
        Step("API keys to IAM: keys are rejected, signatures pass", _to_iam),
        Step("smoke test with signatures", smoke),
        Step("IAM to API keys: signatures are rejected, the key passes", _from_iam),
        Step("smoke test after the change back", smoke),
        Step("release gradually from now on", _deploy(CANARY)),
        Step("a damaged model is rolled back", lambda context: releases.check(context, model)),
        Step("smoke test after the rollback", smoke),
        Step("firewall on", _deploy(FIREWALL), needs="firewall"),
        Step("smoke test behind the firewall", smoke, needs="firewall"),
        Step("firewall off", _deploy(ONE_CLIENT), needs="firewall"),
        Step("smoke test without the firewall", smoke, needs="firewall"),
    ]
    if quick:
        first = [step.name for step in ordinary].index(_FIRST_REDEPLOYMENT)
        ordinary[first:] = [replace(step, left_out=QUICK) for step in ordinary[first:]]
    return ordinary, [Step("destroy", _destroy), Step("sweep", _sweep)]


def _doctor(context: Context) -> str:
    return context.target.doctor(context.settings)


def _deploy(settings: Mapping[str, Any]) -> Callable[[Context], str]:
    def deploy(context: Context) -> str:
        context.deploy(settings)
        # A stage, a key and a first start of a container image take their time.
        _expect(context, _credentials(context), (_OK,))
        return context.endpoint.url

    return deploy


def _smoke(model: Path) -> Callable[[Context], str]:
    def smoke(context: Context) -> str:
        endpoint = Endpoint(context.endpoint.url, _credentials(context))
        try:
            card = cards.read(model)
            run = Run(endpoint, card, Options(cors_origin=ORIGIN))
            outcomes = run_checks(run, all_checks(card))
        except ValueError as error:
            raise AcceptanceError(str(error)) from error
        finally:
            endpoint.close()
        failed = [f"{outcome.name}: {outcome.detail}" for outcome in outcomes if outcome.status == "failed"]
        if failed:
            raise AcceptanceError("; ".join(failed))
        passed = sum(outcome.status == "passed" for outcome in outcomes)
        return f"{passed} checks passed, round trip p95 {run.latency['round_trip_p95_ms']:.0f} ms"

    return smoke


def _no_diff(context: Context) -> str:
    difference = context.target.diff(context.settings)
    if difference:
        raise AcceptanceError(f"the same settings would change:\n{difference}")
    return "the same settings give no difference"


def _remove_client(context: Context) -> str:
    removed = ApiKey(_key(context, "ApiKeyIdSecond"))
    _expect(context, removed, (_OK,))
    context.deploy(ONE_CLIENT)
    status = _expect(context, removed, _FORBIDDEN)
    _expect(context, _credentials(context), (_OK,))
    return f"the removed client's key gets {status}, the other one 200"


def _to_iam(context: Context) -> str:
    key = ApiKey(_key(context, "ApiKeyId"))
    context.deploy(IAM)
    # Without a signature API Gateway says the same as of an unknown route.
    status = _expect(context, key, (*_FORBIDDEN, 404))
    _expect(context, context.target.signature(), (_OK,))
    return f"a request with an API key and no signature gets {status}, a signed one 200"


def _from_iam(context: Context) -> str:
    signature = context.target.signature()
    context.deploy(ONE_CLIENT)
    status = _expect(context, signature, _FORBIDDEN)
    _expect(context, _credentials(context), (_OK,))
    return f"a signed request without a key gets {status}, one with the key 200"


def _destroy(context: Context) -> str:
    if context.deployed is None and context.target.name == "local":
        return "nothing was deployed"
    context.target.destroy()
    return "the stack is deleted"


def _sweep(context: Context) -> str:
    if context.deployed is None and context.target.name == "local":
        return "nothing was deployed"
    deadline = time.monotonic() + _SWEEP_SECONDS
    while True:
        leftovers = sweep(context.target)
        unexpected = [leftover for leftover in leftovers if not leftover.reason]
        if not unexpected:
            break
        # Lists of AWS show what was deleted for a while.
        if time.monotonic() >= deadline or context.target.name == "local":
            raise AcceptanceError(f"left in the account: {'; '.join(map(str, unexpected))}")
        time.sleep(10)
    return f"stays on purpose: {'; '.join(map(str, leftovers))}" if leftovers else "nothing is left"


def _credentials(context: Context) -> Credentials:
    if context.settings["auth"]["mode"] == "iam":
        return context.target.signature()
    return ApiKey(_key(context, "ApiKeyId"))


def _key(context: Context, output: str) -> str:
    key_id = context.endpoint.outputs.get(output)
    if key_id is None:
        raise AcceptanceError(f"the stack has no output {output}")
    gateway = context.target.client("apigateway")
    value: str = gateway.get_api_key(apiKey=key_id, includeValue=True)["value"]
    return value


def _expect(context: Context, credentials: Credentials, statuses: tuple[int, ...]) -> int:
    """Wait until ``GET /v1/models`` has one of these statuses several times in a row; return it."""
    endpoint = Endpoint(context.endpoint.url, credentials)
    deadline = time.monotonic() + _SETTLE_SECONDS
    agreeing = 0
    try:
        while True:
            try:
                # A healthy endpoint first, or a deployment that has broken it would look like a rejection.
                health = endpoint.get("v1/health", credentials=Anonymous())
                reply = endpoint.get("v1/models")
            except CheckError as error:
                raise AcceptanceError(str(error)) from error
            if health.status == _OK and reply.status in statuses:
                agreeing += 1
                if agreeing == _AGREEING:
                    return reply.status
                continue
            agreeing = 0
            if time.monotonic() >= deadline:
                raise AcceptanceError(
                    f"GET /v1/models with {credentials.name} credentials gives HTTP {reply.status} (health: "
                    f"{health.status}), expected {' or '.join(map(str, statuses))}"
                )
            time.sleep(2)
    finally:
        endpoint.close()
