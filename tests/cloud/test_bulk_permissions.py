"""IAM is enforced for bulk jobs: their roles list and read what jobs may name, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from deployment import Deployed


def s3_of(deployed: Deployed, role_arn: str) -> Any:
    answer = deployed.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")
    credentials = answer["Credentials"]
    session: Any = boto3.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], deployed.account.region
    )
    return session.client("s3", endpoint_url=deployed.account.endpoint)


@pytest.fixture(scope="module", params=["state machine", "jobs function"])
def s3(request: pytest.FixtureRequest, deployed: Deployed) -> Any:
    """S3 with the credentials of a role that lists prefixes."""
    if request.param == "state machine":
        arn = deployed.outputs["BulkStateMachineArn"]
        described = deployed.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
        return s3_of(deployed, described["roleArn"])
    configuration = deployed.client("lambda").get_function_configuration(FunctionName="loupe-local-jobs")
    return s3_of(deployed, configuration["Role"])


def test_a_prefix_of_inputs_is_listed(s3: Any, deployed: Deployed) -> None:
    bucket = deployed.outputs["BulkBucket"]
    deployed.client("s3").put_object(Bucket=bucket, Key="inputs/listed/a.jpg", Body=b"")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="inputs/listed/")["Contents"]
    assert [item["Key"] for item in listed] == ["inputs/listed/a.jpg"]


@pytest.mark.parametrize("prefix", ["", "uploads/", "input"])
def test_other_prefixes_of_the_results_bucket_are_not_listed(s3: Any, deployed: Deployed, prefix: str) -> None:
    with pytest.raises(ClientError) as denied:
        s3.list_objects_v2(Bucket=deployed.outputs["BulkBucket"], Prefix=prefix)
    assert denied.value.response["Error"]["Code"] == "AccessDenied"


def test_objects_outside_jobs_and_inputs_are_not_read(s3: Any, deployed: Deployed) -> None:
    bucket = deployed.outputs["BulkBucket"]
    deployed.client("s3").put_object(Bucket=bucket, Key="uploads/row.json", Body=b"{}")
    with pytest.raises(ClientError) as denied:
        s3.get_object(Bucket=bucket, Key="uploads/row.json")
    assert denied.value.response["Error"]["Code"] == "AccessDenied"
    deployed.client("s3").delete_object(Bucket=bucket, Key="uploads/row.json")
