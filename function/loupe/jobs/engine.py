"""Step Functions as the jobs see it: executions by job id, and its failures as problems."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from loupe.errors import JobNotRedrivable, JobsUnavailable, RequestInvalid
from loupe.jobs.ids import missing
from loupe.jobs.settings import ALIAS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A request to the jobs function waits for several calls; API Gateway waits 29 s for all of them.
CLIENT_CONFIG = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})
# Executions of one page of `list_executions`: the most that Step Functions returns.
PAGE_SIZE = 1000
_RETRY_AFTER = {"Retry-After": "2"}
# Transient errors ("Common errors" and each action's errors, Step Functions API reference).
# ExecutionLimitExceeded: 1,000,000 open executions.
_TRY_AGAIN = frozenset(
    {
        "ExecutionLimitExceeded",
        "InternalFailure",
        "InternalServerException",
        "KmsThrottlingException",
        "RequestLimitExceeded",
        "ResourceConflictException",
        "ServiceException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class StepFunctions(Protocol):
    """The calls of boto3's client that are used."""

    def start_execution(self, **arguments: Any) -> Mapping[str, Any]: ...
    def describe_execution(self, **arguments: Any) -> Mapping[str, Any]: ...
    def list_executions(self, **arguments: Any) -> Mapping[str, Any]: ...
    def stop_execution(self, **arguments: Any) -> Mapping[str, Any]: ...
    def redrive_execution(self, **arguments: Any) -> Mapping[str, Any]: ...
    def list_map_runs(self, **arguments: Any) -> Mapping[str, Any]: ...
    def describe_map_run(self, **arguments: Any) -> Mapping[str, Any]: ...


class Aliases(Protocol):
    """The call of boto3's Lambda client that is used."""

    def get_alias(self, **arguments: Any) -> Mapping[str, Any]: ...


class Page(NamedTuple):
    """Executions as Step Functions lists them, and its token for the next page."""

    executions: list[Mapping[str, Any]]
    token: str | None


class Engine:
    """Executions of one state machine; safe to use from several threads.

    Every method raises `loupe.errors.JobsUnavailable` when Step Functions throttles or does not respond, and
    `loupe.errors.JobNotFound` for an execution that does not exist.
    """

    def __init__(self, state_machine_arn: str, states: StepFunctions, aliases: Aliases) -> None:
        self._arn, self._states, self._aliases = state_machine_arn, states, aliases

    def live_version(self, function_arn: str) -> str:
        """Return the ARN of the version that a function's alias ``live`` names."""
        with _problems():
            alias = self._aliases.get_alias(FunctionName=function_arn, Name=ALIAS)
        # While a release shifts traffic, this is the version that it shifts from.
        return f"{function_arn}:{alias['FunctionVersion']}"

    def start(self, job_id: str, job: Mapping[str, Any]) -> bool:
        """Start an execution.

        Returns
        -------
        bool
            False if the name is taken: by an execution with another input, or by one that has ended.
        """
        with _problems():
            try:
                self._states.start_execution(
                    stateMachineArn=self._arn, name=job_id, input=json.dumps({"job": job}, separators=(",", ":"))
                )
            except ClientError as error:
                if error_code(error) != "ExecutionAlreadyExists":
                    raise
                return False
        return True

    def describe(self, job_id: str) -> Mapping[str, Any]:
        """Return an execution."""
        with _problems():
            return self._states.describe_execution(executionArn=self._execution(job_id))

    def map_run(self, job_id: str) -> Mapping[str, Any] | None:
        """Return the map run of an execution, or None before it has begun."""
        with _problems():
            runs = self._states.list_map_runs(executionArn=self._execution(job_id))["mapRuns"]
            if not runs:
                return None
            # A redrive may start a further run; the order of the list is not documented.
            latest = max(runs, key=lambda run: run["startDate"])
            return self._states.describe_map_run(mapRunArn=latest["mapRunArn"])

    def item_count(self, map_run_arn: str) -> int:
        """Return the number of items of a map run that has ended."""
        with _problems():
            return int(self._states.describe_map_run(mapRunArn=map_run_arn)["itemCounts"]["total"])

    def stop(self, job_id: str) -> None:
        """Stop an execution and the children of its map run."""
        with _problems():
            self._states.stop_execution(executionArn=self._execution(job_id), error="Stopped", cause="By its owner.")

    def redrive(self, job_id: str) -> None:
        """Restart what did not succeed in an execution that has ended.

        Raises
        ------
        loupe.errors.JobNotRedrivable
        """
        with _problems():
            try:
                self._states.redrive_execution(executionArn=self._execution(job_id))
            except ClientError as error:
                if error_code(error) != "ExecutionNotRedrivable":
                    raise
                raise JobNotRedrivable(
                    "Step Functions cannot redrive it: it runs again already, ended more than 14 days ago, or has too "
                    "long a history. Start a new job."
                ) from error

    def page(self, status: str | None, token: str | None) -> Page:
        """Return one page of all executions, the latest first.

        Raises
        ------
        loupe.errors.RequestInvalid
            If the token is not from Step Functions, or is older than 24 hours.
        """
        arguments: dict[str, Any] = {"stateMachineArn": self._arn, "maxResults": PAGE_SIZE}
        if status is not None:
            arguments["statusFilter"] = status
        if token is not None:
            arguments["nextToken"] = token
        with _problems():
            try:
                listed = self._states.list_executions(**arguments)
            except ClientError as error:
                if token is None or error_code(error) not in ("InvalidToken", "ValidationException"):
                    raise
                raise RequestInvalid('"next" is not valid, or older than 24 hours. Begin again without it.') from error
        return Page(list(listed["executions"]), listed.get("nextToken"))

    def _execution(self, job_id: str) -> str:
        # arn:<partition>:states:<region>:<account>:stateMachine:<name>
        head, _, name = self._arn.rpartition(":")
        return f"{head.removesuffix(':stateMachine')}:execution:{name}:{job_id}"


@contextmanager
def _problems() -> Iterator[None]:
    """Turn failures of AWS into problems. Those of the function's own permissions stay what they are: a 500."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        if code in ("ExecutionDoesNotExist", "ResourceNotFound"):
            raise missing() from error
        if code in _TRY_AGAIN or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500:
            raise unavailable() from error
        raise
    except (NoConnectionError, HTTPClientError) as error:
        raise unavailable() from error


def unavailable() -> JobsUnavailable:
    """Return the problem of a call that AWS throttled or did not answer."""
    return JobsUnavailable("AWS Step Functions is busy or did not answer. Try again.", headers=dict(_RETRY_AFTER))


def error_code(error: ClientError) -> str:
    """Return the AWS error code."""
    return str(error.response.get("Error", {}).get("Code", ""))
