"""Read weights from a parameter of AWS Systems Manager. Imports boto3: imported by the first read, not at INIT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from loupe.weights import WeightsUnavailable

if TYPE_CHECKING:
    from typing import Any, Protocol

    class ParameterStore(Protocol):
        """The call of boto3's client that is used."""

        def get_parameter(self, *, Name: str) -> Any: ...  # noqa: N803 (AWS's name)


# Two attempts, the second for a connection that ended while the environment was frozen; `loupe.weights` bounds both.
_CONFIG = Config(connect_timeout=0.5, read_timeout=0.5, retries={"total_max_attempts": 2, "mode": "standard"})
# Codes of GetParameter (Systems Manager API reference), and of throttling ('Common errors').
_REASONS = {
    "AccessDeniedException": "denied",
    "ParameterNotFound": "missing",
    "ThrottlingException": "throttled",
    "TooManyRequestsException": "throttled",
}


class Parameter:
    """One parameter of type String."""

    def __init__(self, name: str, client: ParameterStore) -> None:
        self._name, self._client = name, client

    def read(self) -> str:
        """Return its value.

        Raises
        ------
        loupe.weights.WeightsUnavailable
            ``denied``, ``missing``, ``throttled``, ``rejected`` (any other error of AWS) or ``unreachable``.
        """
        try:
            return str(self._client.get_parameter(Name=self._name)["Parameter"]["Value"])
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise WeightsUnavailable(_REASONS.get(code, "rejected")) from error
        except BotoCoreError as error:
            raise WeightsUnavailable("unreachable") from error


def connect(name: str) -> Parameter:
    """Create the client of a parameter.

    Raises
    ------
    loupe.weights.WeightsUnavailable
        ``unreachable`` without a region or credentials.
    """
    try:
        return Parameter(name, boto3.client("ssm", config=_CONFIG))
    except BotoCoreError as error:
        raise WeightsUnavailable("unreachable") from error
