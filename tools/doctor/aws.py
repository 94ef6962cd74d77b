"""AWS calls whose failures are sentences: missing or expired credentials, permissions, throttling, no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import exceptions
from botocore.config import Config

from tools.doctor.findings import Finding, Level

_LOGIN = (
    "Sign in again (aws sso login, or new keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or set AWS_PROFILE."
)
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_INVALID = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "AuthFailure",
    "InvalidToken",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
}
# Prefix of a service's actions in IAM, where it is not botocore's name of the service.
_ACTION_PREFIXES = {"stepfunctions": "states"}
_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.SSOError,
    exceptions.ProfileNotFound,
    exceptions.NoAuthTokenError,
)


class CallError(Exception):
    """An AWS call without a usable answer.

    Attributes
    ----------
    code
        AWS's error code, or empty where nothing was answered.
    no_identity
        Whether the credentials are missing, expired or invalid, so that no other call can succeed.
    operation
        The call, as IAM names it: ``sts:GetCallerIdentity``.
    """

    def __init__(self, summary: str, action: str, *, level: Level, code: str = "", no_identity: bool = False) -> None:
        super().__init__(summary)
        self.summary, self.action, self.level = summary, action, level
        self.code, self.no_identity = code, no_identity
        self.operation = ""

    @property
    def denied(self) -> bool:
        """Whether the credentials lack the permission for the call."""
        return self.code in _DENIED

    @property
    def throttled(self) -> bool:
        """Whether AWS rejected the call because of its rate, in every attempt."""
        return self.code in _THROTTLED

    def finding(self, check: str) -> Finding:
        return Finding(check, self.level, self.summary, self.action)


class Aws:
    """Clients of one region, made when they are first called."""

    def __init__(self, session: boto3.Session, region: str, *, attempts: int = 3, read_timeout: float = 10) -> None:
        self._session, self.region = session, region
        self._clients: dict[str, Any] = {}
        self._config = Config(
            connect_timeout=5, read_timeout=read_timeout, retries={"mode": "standard", "total_max_attempts": attempts}
        )

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(  # type: ignore[call-overload]
                service, region_name=self.region, config=self._config
            )
        return self._clients[service]

    def without_retries(self, *, read_timeout: float = 10) -> Aws:
        """Return the same clients with one attempt per call and this timeout in seconds."""
        return Aws(self._session, self.region, attempts=1, read_timeout=read_timeout)

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        """Call an operation, such as ``call("sts", "get_caller_identity")``.

        Raises
        ------
        CallError
        """
        with _as_call_error(service, operation):
            return getattr(self.client(service), operation)(**arguments)

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
        """Yield the items below a key of every page, such as ``pages("lambda", "list_aliases", "Aliases", ...)``.

        Raises
        ------
        CallError
        """
        with _as_call_error(service, operation):
            for page in self.client(service).get_paginator(operation).paginate(**arguments):
                yield from page.get(key, ())


@contextmanager
def _as_call_error(service: str, operation: str) -> Iterator[None]:
    try:
        yield
    except (exceptions.BotoCoreError, exceptions.ClientError) as failure:
        explained = explain(failure, service, operation)
        explained.operation = iam_action(service, operation)
        raise explained from failure


def is_missing_stack(code: str, message: str) -> bool:
    """Whether an error of CloudFormation says that there is no such stack; it has no error code for that."""
    return code == "ValidationError" and "does not exist" in message


def explain(failure: Exception, service: str, operation: str) -> CallError:
    """Return a failure of botocore as a sentence and what to do."""
    action = iam_action(service, operation)
    if isinstance(failure, _NO_CREDENTIALS):
        return CallError(
            f"There are no usable AWS credentials: {_sentence(failure)}", _LOGIN, level=Level.error, no_identity=True
        )
    if isinstance(failure, exceptions.ClientError):
        return _client_error(failure, action)
    if isinstance(failure, exceptions.ReadTimeoutError):
        return CallError(
            f"{service} cannot be reached: {_sentence(failure)}",
            "Run it again; if it stays, check the network and HTTPS_PROXY.",
            level=Level.error,
            code="ReadTimeoutError",
        )
    if isinstance(failure, exceptions.HTTPClientError | exceptions.ConnectionError | exceptions.NoRegionError):
        return CallError(
            f"{service} cannot be reached: {_sentence(failure)}",
            "Check the network, HTTPS_PROXY and NO_PROXY, and that the region exists and is enabled for the account.",
            level=Level.error,
        )
    return CallError(
        f"{action} failed: {_sentence(failure)}", "Run it again; if it stays, look at ~/.aws/config.", level=Level.error
    )


def iam_action(service: str, operation: str) -> str:
    """Return the action of an operation, such as ``sts:GetCallerIdentity``, as an error message names it."""
    return f"{_ACTION_PREFIXES.get(service, service)}:{operation.title().replace('_', '')}"


def _client_error(failure: exceptions.ClientError, action: str) -> CallError:
    code = str(failure.response.get("Error", {}).get("Code", ""))
    if code in _EXPIRED:
        return CallError(
            f"The AWS credentials have expired ({code}).", _LOGIN, level=Level.error, code=code, no_identity=True
        )
    if code in _INVALID:
        return CallError(
            f"AWS does not accept the credentials ({code}).",
            f"{_LOGIN} A wrong clock or a region that is not enabled for the account has the same effect.",
            level=Level.error,
            code=code,
            no_identity=True,
        )
    if code in _DENIED:
        return CallError(
            f"Not checked: these credentials may not call {action}.",
            f"Allow {action}, or check it by hand.",
            level=Level.warning,
            code=code,
        )
    if code in _THROTTLED:
        return CallError(
            f"Not checked: AWS throttles {action} ({code}).",
            "Run it again in a minute.",
            level=Level.warning,
            code=code,
        )
    message = str(failure.response.get("Error", {}).get("Message", "")) or code or "no reason was given"
    return CallError(
        f"{action} failed: {message.rstrip('.')} ({code}).", "Run it again in a minute.", level=Level.error, code=code
    )


def _sentence(failure: Exception) -> str:
    text = " ".join(str(failure).split())
    return text if text.endswith(".") else f"{text}."
