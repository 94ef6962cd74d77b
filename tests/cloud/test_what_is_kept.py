"""What the emulator carries of keys, retention and access: docs/local-cloud.md names what it does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployment import Deployed


def test_logs_end_some_day_and_have_the_stacks_own_key(deployed: Deployed) -> None:
    keys = deployed.client("kms")
    key = keys.describe_key(KeyId=_key(deployed))["KeyMetadata"]
    assert key["KeyState"] == "Enabled"
    assert keys.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is True
    groups = deployed.client("logs").describe_log_groups()["logGroups"]
    assert {group["kmsKeyId"] for group in groups} == {key["Arn"]}
    assert {group["retentionInDays"] for group in groups} == {1}


def test_the_key_lets_in_the_account_alarms_and_logs_only(deployed: Deployed) -> None:
    keys = deployed.client("kms")
    policy = json.loads(keys.get_key_policy(KeyId=_key(deployed), PolicyName="default")["Policy"])
    principals = [each["Principal"] for each in policy["Statement"]]
    services = {each["Service"] for each in principals if "Service" in each}
    assert services == {"cloudwatch.amazonaws.com", f"logs.{deployed.account.region}.amazonaws.com"}
    assert {each["AWS"] for each in principals if "AWS" in each} == {
        f"arn:aws:iam::{deployed.endpoint['account']}:root"
    }
    assert all("Condition" in each for each in policy["Statement"] if "Service" in each["Principal"])


def test_the_upload_bucket_is_private(deployed: Deployed) -> None:
    buckets = deployed.client("s3")
    (name,) = (each["Name"] for each in buckets.list_buckets()["Buckets"] if each["Name"].startswith("loupe-local-"))
    blocked = buckets.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    denied = [
        each["Condition"]
        for each in json.loads(buckets.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
        if each["Effect"] == "Deny"
    ]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied


def test_the_function_says_whose_it_is(deployed: Deployed) -> None:
    tags = deployed.client("lambda").get_function(FunctionName=deployed.outputs["FunctionName"])["Tags"]
    assert (tags["Project"], tags["Environment"]) == ("loupe", "local")


def _key(deployed: Deployed) -> str:
    aliases = deployed.client("kms").list_aliases()["Aliases"]
    return next(each["TargetKeyId"] for each in aliases if each["AliasName"] == "alias/loupe-local")
