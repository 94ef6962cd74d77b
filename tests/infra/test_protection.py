"""Encryption keys, retention, deletion protection and tags of each environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from infra.app import build
from infra.settings import SettingsError, load_settings
from tests.infra.synthesis import ROOT, Synthesized, context, synthesize
from tests.infra.variants import ENVIRONMENTS

KEY = "arn:aws:kms:eu-central-1:111122223333:key/0d1c2b3a-0000-4000-8000-000000000000"
STORES = ("AWS::Logs::LogGroup", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SecretsManager::Secret")


def stored(built: Synthesized) -> list[dict[str, Any]]:
    return [resource for kind in STORES for resource in built.resources(kind).values()]


def keys_of(built: Synthesized) -> list[Any]:
    """The KMS key of everything that the stack stores, or None."""
    groups = [group["Properties"].get("KmsKeyId") for group in built.resources("AWS::Logs::LogGroup").values()]
    secrets = [
        secret["Properties"].get("KmsKeyId") for secret in built.resources("AWS::SecretsManager::Secret").values()
    ]
    buckets = [
        rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID")
        for bucket in built.resources("AWS::S3::Bucket").values()
        for rule in bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    ]
    return [*groups, *secrets, *buckets]


def test_prod_encrypts_stored_data_with_one_customer_managed_key(prod: Synthesized) -> None:
    (name,) = prod.resources("AWS::KMS::Key")
    arn = {"Fn::GetAtt": [name, "Arn"]}
    assert len(keys_of(prod)) == len(stored(prod)) - 1
    assert all(key == arn for key in keys_of(prod))
    assert prod.only("AWS::SNS::Topic")["KmsMasterKeyId"] == arn
    assert prod.only("AWS::KMS::Key")["EnableKeyRotation"] is True
    assert prod.only("AWS::KMS::Alias")["AliasName"] == "alias/loupe-prod"


def test_logs_may_use_the_key_for_this_accounts_groups_only(prod: Synthesized) -> None:
    (statement,) = (
        statement
        for statement in prod.only("AWS::KMS::Key")["KeyPolicy"]["Statement"]
        if statement.get("Sid", "").startswith("LogG")
    )
    assert json.dumps(statement["Principal"]).count("logs.") == 1
    (arn,) = statement["Condition"]["ArnLike"].values()
    assert {"Ref": "AWS::AccountId"} in arn["Fn::Join"][1]
    assert arn["Fn::Join"][1][-1] == ":log-group:*"
    assert not [action for action in statement["Action"] if "*" in action]


def test_the_function_may_use_the_key_for_uploads(prod: Synthesized) -> None:
    (name,) = prod.resources("AWS::KMS::Key")
    allowed = {
        action
        for policy in prod.resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Resource"] == {"Fn::GetAtt": [name, "Arn"]}
        for action in statement["Action"]
    }
    assert allowed == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_an_existing_key_is_used_and_none_is_created() -> None:
    built = synthesize("dev", {"protection": {"kms_key": KEY}})
    assert built.resources("AWS::KMS::Key") == {}
    assert keys_of(built) == [KEY] * len(stored(built))
    assert built.only("AWS::SNS::Topic")["KmsMasterKeyId"] == KEY


@pytest.mark.parametrize(("environment", "policy"), [("prod", "RetainExceptOnCreate"), ("staging", "Delete")])
def test_keep_data_retains_data_when_the_stack_is_deleted(environment: str, policy: str) -> None:
    built = synthesize(environment)
    # Six of the endpoint; of bulk jobs three log groups and a bucket; of releases three log groups.
    assert len(stored(built)) == 13
    for resource in stored(built):
        assert resource["DeletionPolicy"] == policy
        assert resource["UpdateReplacePolicy"] == ("Retain" if environment == "prod" else "Delete")


def test_prod_has_termination_protection() -> None:
    for environment in ENVIRONMENTS:
        app = cdk.App(context={**context(), "env": environment}, analytics_reporting=False)
        build(app)
        (stack,) = (child for child in app.node.children if isinstance(child, cdk.Stack))
        assert stack.termination_protection == (environment == "prod")


def test_every_bucket_is_private_and_takes_tls_only(synthesized: Synthesized) -> None:
    buckets = synthesized.resources("AWS::S3::Bucket")
    assert buckets
    for bucket in buckets.values():
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    denied = [
        statement["Condition"]
        for policy in synthesized.resources("AWS::S3::BucketPolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
    ]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied
    assert len(synthesized.resources("AWS::S3::BucketPolicy")) == len(buckets)


def test_log_groups_expire(synthesized: Synthesized) -> None:
    for group in synthesized.resources("AWS::Logs::LogGroup").values():
        assert 1 <= group["Properties"]["RetentionInDays"] <= 731


def test_bodies_and_headers_stay_out_of_the_gateways_logs(synthesized: Synthesized) -> None:
    """Execution logs with data trace would hold images and keys."""
    stage = synthesized.only("AWS::ApiGateway::Stage")
    for settings in stage["MethodSettings"]:
        assert settings.get("DataTraceEnabled", False) is False
        assert settings.get("LoggingLevel", "OFF") == "OFF"
    written = json.loads(stage["AccessLogSetting"]["Format"])
    assert not [
        value for value in written.values()
        if any(word in value.lower() for word in ("apikey", "querystring", "authorizationtoken", "header", "body"))
        and value != "$context.identity.apiKeyId"
    ]  # fmt: skip


def test_every_taggable_resource_of_prod_has_an_owner_tag(prod: Synthesized) -> None:
    tagged = [
        resource["Properties"]["Tags"]
        for resource in prod.template["Resources"].values()
        if "Tags" in resource["Properties"]
    ]
    assert len(tagged) > 8
    for tags in tagged:
        names = {tag["Key"] for tag in tags} if isinstance(tags, list) else set(tags)
        assert {"Owner", "CostCenter", "Project", "Environment"} <= names


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        ({"tags": {"Owner": None}}, "tags has no 'Owner', which protection.required_tags asks for"),
        ({"tags": {"Owner": ""}}, "tags has no 'Owner'"),
        ({"tags": {"AWS:mine": "x"}}, "tags has 'AWS:mine': names that begin with aws: are AWS's own"),
        (
            {"region": "us-east-1", "protection": {"kms_key": KEY}},
            "protection.kms_key is a key of eu-central-1, which nothing in us-east-1 can use",
        ),
        ({"protection": {"kms_key": "aws"}}, "set protection.kms_key to 'customer' or an ARN"),
        ({"firewall": None}, "which asks you to set firewall.enabled"),
        ({"function": {"reserved_concurrency": None}}, "set function.reserved_concurrency"),
        ({"protection": {"kms_key": "mine"}}, r"protection.kms_key: must be 'aws', 'customer' or the ARN of a KMS key"),
        ({"protection": {"rule_packs": []}}, r"protection.rule_packs: "),
        ({"protection": {"rule_packs": ["HIPAA"]}}, r"protection.rule_packs.0: .*'AwsSolutions' or 'NIST.800.53.R5'"),
        ({"protection": {"terminate": True}}, "protection.terminate: there is no such key. Known here: keep_data"),
    ],
)
def test_invalid_protection_settings_are_rejected_with_a_message(patch: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings(context(), "prod", patch)


def test_an_environment_may_extend_another() -> None:
    staging, prod = (load_settings(context(), name) for name in ("staging", "prod"))
    assert staging.environment == "staging"
    assert staging.protection.kms_key == prod.protection.kms_key == "customer"
    assert staging.function.reserved_concurrency == 20
    assert staging.tags == prod.tags


@pytest.mark.parametrize(
    ("environments", "sentence"),
    [
        ({"a": {"extends": "b"}}, r"environments.a.extends: must be another environment:  \(it is 'b'\)"),
        ({"a": {"extends": ["b"]}, "b": {}}, r"must be another environment: b \(it is \['b'\]\)"),
        ({"a": {"extends": "b"}, "b": {"extends": "a"}}, "a extends b extends a, which never ends"),
        ({"a": {"extends": "a"}}, "a extends a, which never ends"),
    ],
)
def test_invalid_extends_are_rejected(environments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings({"environments": environments}, "a")


def test_the_environments_fit_one_screen() -> None:
    lines = (ROOT / "cdk.json").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if '"environments"' in line)
    last = next(number for number, line in enumerate(lines) if line == "    },")
    assert last - first < 60


def test_environments_in_two_regions_or_accounts_do_not_collide(tmp_path: Path) -> None:
    values = context()
    values["environments"] |= {
        "prod-eu": {"extends": "prod", "account": "111122223333", "region": "eu-central-1"},
        "prod-us": {"extends": "prod", "account": "444455556666", "region": "us-east-1"},
    }
    names: dict[str, set[str]] = {}
    for environment, place in (
        ("prod-eu", ("111122223333", "eu-central-1")),
        ("prod-us", ("444455556666", "us-east-1")),
    ):
        app = cdk.App(
            context={**values, "env": environment}, outdir=str(tmp_path / environment), analytics_reporting=False
        )
        build(app)
        (stack,) = app.synth().stacks
        assert (stack.environment.account, stack.environment.region) == place
        assert stack.stack_name == f"Loupe-{environment}"
        assert stack.termination_protection is True
        named = ("FunctionName", "LogGroupName", "AlarmName", "AliasName", "DashboardName", "BucketName")
        names[environment] = {
            resource["Properties"][key]
            for resource in stack.template["Resources"].values()
            for key in named
            if isinstance(resource.get("Properties", {}).get(key), str)
        }
        assert f"loupe-{environment}" in names[environment]
    assert not names["prod-eu"] & names["prod-us"]
