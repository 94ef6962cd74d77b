"""Encryption keys, retention and access in the emulator; docs/local-cloud.md lists what it does not cover."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployment import Deployed


def test_log_groups_expire_and_use_the_stacks_key(deployed: Deployed) -> None:
    keys = deployed.client("kms")
    key = keys.describe_key(KeyId=_key(deployed))["KeyMetadata"]
    assert key["KeyState"] == "Enabled"
    assert keys.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is True
    groups = deployed.client("logs").describe_log_groups()["logGroups"]
    assert {group["kmsKeyId"] for group in groups} == {key["Arn"]}
    assert {group["retentionInDays"] for group in groups} == {1}


def test_the_key_policy_allows_the_account_alarms_logs_and_arrivals_only(deployed: Deployed) -> None:
    keys = deployed.client("kms")
    policy = json.loads(keys.get_key_policy(KeyId=_key(deployed), PolicyName="default")["Policy"])
    principals = [statement["Principal"] for statement in policy["Statement"]]
    services = {principal["Service"] for principal in principals if "Service" in principal}
    # EventBridge sends arrivals to the encrypted queue of `bulk.on_upload`.
    assert services == {
        "cloudwatch.amazonaws.com", "events.amazonaws.com", f"logs.{deployed.account.region}.amazonaws.com"
    }  # fmt: skip
    assert {principal["AWS"] for principal in principals if "AWS" in principal} == {
        f"arn:aws:iam::{deployed.endpoint['account']}:root"
    }
    assert all("Condition" in statement for statement in policy["Statement"] if "Service" in statement["Principal"])


def test_the_buckets_for_uploads_and_results_are_private(deployed: Deployed) -> None:
    buckets = deployed.client("s3")
    names = [
        bucket["Name"] for bucket in buckets.list_buckets()["Buckets"] if bucket["Name"].startswith("loupe-local-")
    ]
    assert len(names) == 2
    for name in names:
        blocked = buckets.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert set(blocked.values()) == {True}
        denied = [
            statement["Condition"]
            for statement in json.loads(buckets.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied


def test_the_function_is_tagged(deployed: Deployed) -> None:
    tags = deployed.client("lambda").get_function(FunctionName=deployed.outputs["FunctionName"])["Tags"]
    assert (tags["Project"], tags["Environment"]) == ("loupe", "local")


def _key(deployed: Deployed) -> str:
    aliases = deployed.client("kms").list_aliases()["Aliases"]
    return next(alias["TargetKeyId"] for alias in aliases if alias["AliasName"] == "alias/loupe-local")
