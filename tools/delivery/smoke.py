"""Smoke-test an environment by what its stack says: address, kind of credentials, API key."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import boto3

from infra.paths import PROJECT_ROOT
from infra.settings import Settings
from tools.delivery.errors import DeliveryError
from tools.delivery.stack import api_key, outputs


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


def run(settings: Settings, session: boto3.Session, options: Sequence[str]) -> int:
    """Run the smoke test and return its exit code; the key is never printed."""
    arguments, credentials = command(settings, session, options, os.environ)
    return subprocess.run(arguments, cwd=PROJECT_ROOT, env={**os.environ, **credentials}, check=False).returncode
