"""Smoke-test an environment by what its stack says: address, kind of credentials, API key."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import boto3

from infra.paths import PROJECT_ROOT
from infra.settings import Settings
from tools.delivery.errors import DeliveryError
from tools.delivery.stack import api_key, outputs
from tools.smoke.credentials import Anonymous, ApiKey
from tools.smoke.endpoint import CheckError, Endpoint

# A new key, stage or first start of a container image takes a minute; the smoke test itself waits for nothing.
SETTLE_SECONDS = 180.0
_POLL_SECONDS = 5.0
_OK = 200


def command(
    settings: Settings, session: boto3.Session, options: Sequence[str], variables: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return the smoke test's command line, and the variables that hold its credentials.

    Parameters
    ----------
    session
        Reads the stack and the API key. It signs nothing: with ``auth.mode`` ``iam`` the credentials of ``variables``
        sign.
    options
        Further options of ``python -m tools.smoke``.

    Raises
    ------
    DeliveryError
        If the environment is not deployed, or its credentials are not available.
    """
    stack = outputs(session.client("cloudformation"), f"Loupe-{settings.environment}")
    if "Url" not in stack:
        raise DeliveryError(f"Loupe-{settings.environment} is not deployed in this account and region.")
    arguments = [sys.executable, "-m", "tools.smoke", "--url", stack["Url"], "--model", settings.model.name, *options]
    mode = settings.auth.mode
    if mode == "iam":
        return [*arguments, "--auth", "iam", "--region", str(session.region_name)], {}
    if mode == "api-key":
        key = api_key(session.client("apigateway"), stack)
        if key is None:
            raise DeliveryError(f"Loupe-{settings.environment} has no output ApiKeyId.")
        # Not on the command line, which other processes can read.
        return arguments, {"LOUPE_API_KEY": key}
    if mode != "none" and not variables.get("LOUPE_TOKEN"):
        raise DeliveryError(f"auth.mode is {mode!r}: give a token in the variable LOUPE_TOKEN.")
    return arguments, {}


def wait(
    endpoint: Endpoint,
    *,
    seconds: float = SETTLE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until the endpoint is healthy and takes the credentials; return whether that was within the time.

    If it was not, the smoke test says what is wrong.
    """
    deadline = clock() + seconds
    while clock() < deadline:
        try:
            healthy = endpoint.get("v1/health", credentials=Anonymous()).status == _OK
            if healthy and (isinstance(endpoint.credentials, Anonymous) or endpoint.get("v1/models").status == _OK):
                return True
        except CheckError:
            # Not reachable yet.
            pass
        sleep(_POLL_SECONDS)
    return False


def run(settings: Settings, session: boto3.Session, options: Sequence[str]) -> int:
    """Run the smoke test and return its exit code; the key is never printed."""
    arguments, credentials = command(settings, session, options, os.environ)
    key = credentials.get("LOUPE_API_KEY")
    endpoint = Endpoint(arguments[arguments.index("--url") + 1], ApiKey(key) if key else Anonymous())
    try:
        wait(endpoint)
    finally:
        endpoint.close()
    return subprocess.run(arguments, cwd=PROJECT_ROOT, env={**os.environ, **credentials}, check=False).returncode
