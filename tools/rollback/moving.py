"""Stop a deployment, move the alias, and wait until all traffic is on the version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tools.doctor.aws import Aws, CallError
from tools.operations.alias import Alias, read_alias
from tools.operations.deployments import Deployment, describe
from tools.operations.stack import Stack
from tools.operations.target import OperationError

STOP_SECONDS = 60
# Lambda starts the provisioned environments of the version before it moves the traffic.
SHIFT_SECONDS = 180
CONFLICT_SECONDS = 30
POLL_SECONDS = 2

Wait = Callable[[float], None]


def stop(aws: Aws, deployment: Deployment, wait: Wait) -> Deployment:
    """Stop a CodeDeploy deployment and wait until neither it nor its own rollback writes to the alias any more.

    No rollback by CodeDeploy is requested: that is another deployment, and the alias is moved right after. A deployment
    group may still do so (DEPLOYMENT_STOP_ON_REQUEST), so its rollback is waited for.

    Raises
    ------
    OperationError
        If it does not end.
    CallError
    """
    try:
        aws.call("codedeploy", "stop_deployment", deploymentId=deployment.id, autoRollbackEnabled=False)
    except CallError as failure:
        if failure.code != "DeploymentAlreadyCompletedException":
            raise
    for _ in range(STOP_SECONDS // POLL_SECONDS):
        current = describe(aws, deployment.id)
        if not current.unfinished:
            rollback = describe(aws, current.rolled_back_by) if current.rolled_back_by else None
            if rollback is None or not rollback.unfinished:
                return current
        wait(POLL_SECONDS)
    raise OperationError(
        f"CodeDeploy deployment {deployment.id} did not stop within {STOP_SECONDS} s, and would write to the alias "
        f"again. Look at it with `aws deploy get-deployment --deployment-id {deployment.id}`, then run this again."
    )


def move(aws: Aws, alias: Alias, version: str, wait: Wait) -> None:
    """Point an alias at a version, with all traffic.

    Raises
    ------
    CallError
    """
    cleared: dict[str, Any] = {"RoutingConfig": {"AdditionalVersionWeights": {}}} if alias.weights else {}
    try:
        _update(aws, alias, wait, FunctionVersion=version, **cleared)
    except CallError as failure:
        if not cleared or failure.code != "InvalidParameterValueException":
            raise
        # With provisioned concurrency, Lambda may take either change but not both at once.
        _update(aws, alias, wait, **cleared)
        _update(aws, alias, wait, FunctionVersion=version)


def _update(aws: Aws, alias: Alias, wait: Wait, **changes: Any) -> None:
    for left in range(CONFLICT_SECONDS // POLL_SECONDS, -1, -1):
        try:
            aws.call("lambda", "update_alias", FunctionName=alias.function, Name=alias.name, **changes)
        except CallError as failure:
            # Another change of the function, or of its provisioned concurrency, is not complete yet.
            if failure.code != "ResourceConflictException" or not left:
                raise
            wait(POLL_SECONDS)
        else:
            return


def wait_until_settled(aws: Aws, stack: Stack, version: str, wait: Wait) -> Alias:
    """Wait until the alias sends all traffic to a version, and return it as it is then, or after `SHIFT_SECONDS`.

    Without provisioned concurrency that is at once. With it, Lambda keeps the version before in the weights until the
    environments are ready.

    Raises
    ------
    CallError
    """
    for _ in range(SHIFT_SECONDS // POLL_SECONDS):
        alias = read_alias(aws, stack)
        if alias.version == version and not alias.weights:
            return alias
        wait(POLL_SECONDS)
    return read_alias(aws, stack)
