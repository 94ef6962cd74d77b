"""IAM is enforced: the function may do what its role's policy grants, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployment import Deployed


@pytest.fixture(scope="module")
def function_client(deployed: Deployed) -> Callable[[str], Any]:
    """A client with the credentials that the fleet gives the function."""
    configuration = deployed.client("lambda").get_function_configuration(FunctionName=deployed.outputs["FunctionName"])
    answer = deployed.client("sts").assume_role(RoleArn=configuration["Role"], RoleSessionName="test")
    credentials = answer["Credentials"]
    session: Any = boto3.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], deployed.account.region
    )
    return lambda service: session.client(service, endpoint_url=deployed.account.endpoint)


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("s3", "list_buckets", {}),
        ("lambda", "list_functions", {}),
        ("iam", "list_roles", {}),
        ("secretsmanager", "list_secrets", {}),
        ("logs", "delete_log_group", {"logGroupName": "/aws/lambda/loupe-local"}),
    ],
)
def test_actions_outside_the_policy_are_denied(
    function_client: Callable[[str], Any], service: str, operation: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ClientError) as denied:
        getattr(function_client(service), operation)(**arguments)
    assert denied.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}


def test_the_credentials_are_those_of_the_functions_role(
    deployed: Deployed, function_client: Callable[[str], Any]
) -> None:
    """The denials above are the policy's doing. (What it grants, its own log group, MiniStack would deny: it compares
    the ARN without the ``:*`` that AWS has behind a log group's name.)"""
    configuration = deployed.client("lambda").get_function_configuration(FunctionName=deployed.outputs["FunctionName"])
    role = configuration["Role"].rpartition("/")[2]
    assert f":assumed-role/{role}/" in function_client("sts").get_caller_identity()["Arn"]
