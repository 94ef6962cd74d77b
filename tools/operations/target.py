"""A deployed environment: its region, credentials and stack, on AWS or in the local cloud."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError

from infra.paths import PROJECT_ROOT
from infra.pins import FOLDER
from infra.settings import SettingsError, load_settings
from tools.doctor.aws import Aws, explain
from tools.doctor.notices import is_production
from tools.region import configured_region

LOCAL = "local"
LOCAL_STATE = PROJECT_ROOT / ".local"


class OperationError(Exception):
    """A command cannot continue. The message states why, and what to do."""


@dataclass(frozen=True)
class Target:
    """One environment.

    Attributes
    ----------
    stack
        Name of its CloudFormation stack.
    url
        Base of the routes where it is not the stack's output ``Url``: in the local cloud, a path of the emulator.
    production
        Whether it serves users: changes need a confirmation.
    pins
        Folder of its pin file.
    """

    environment: str
    aws: Aws
    url: str | None = None
    production: bool = False
    pins: Path = FOLDER

    @property
    def stack(self) -> str:
        return f"Loupe-{self.environment}"

    @property
    def local(self) -> bool:
        return self.environment == LOCAL


class LocalAws(Aws):
    """The emulated AWS of a local cloud, with its root credentials and those of no other account."""

    def __init__(self, account: Any) -> None:
        super().__init__(boto3.Session(), account.region)
        self._account = account

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._account.client(service)
        return self._clients[service]

    def without_retries(self, *, read_timeout: float = 10) -> Aws:  # noqa: ARG002
        return self


def connect(
    environment: str, *, region: str | None = None, state: Path = LOCAL_STATE, patch: str | None = None
) -> Target:
    """Return the environment that a command line names.

    Parameters
    ----------
    region
        Of the deployment; by default that of its settings, else of the AWS configuration.
    state
        Folder of the local cloud, for environment ``local``.
    patch
        JSON merge patch over the environment's settings.

    Raises
    ------
    OperationError
        If there is no such environment, no region, no profile of the configured name, or no local cloud.
    """
    if environment == LOCAL:
        return _local(state)
    context = json.loads((PROJECT_ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    try:
        settings = load_settings(context, environment, patch)
    except SettingsError as error:
        raise OperationError(str(error)) from None
    try:
        region = region or settings.region or configured_region()
        if region is None:
            raise OperationError(
                f"No region is known. Set region in environments.{environment} of cdk.json, or AWS_REGION."
            )
        return Target(environment, Aws(boto3.Session(), region), production=is_production(settings))
    except BotoCoreError as error:
        failure = explain(error, "sts", "get_caller_identity")
        raise OperationError(f"{failure.summary} {failure.action}") from None


def _local(state: Path) -> Target:
    # Only here: the tools do not need the local cloud's packages for AWS.
    from localcloud.aws import Account
    from localcloud.errors import CloudError
    from localcloud.state import State

    cloud = State(state.resolve())
    try:
        running = cloud.running()
        if running is None or not running.alive():
            raise OperationError(f"No local cloud is up in {state}: `make up` starts one.")
        endpoint = cloud.read_endpoint()
    except CloudError as error:
        raise OperationError(str(error)) from None
    account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
    return Target(LOCAL, LocalAws(account), url=endpoint["url"], pins=cloud.pins)
