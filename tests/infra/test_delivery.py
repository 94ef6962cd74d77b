"""The delivery's app: who may assume which role, what roles may do, who may pull the image, rejected settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from infra.settings import SettingsError
from infra.settings.delivery import delivered_images, load_delivery
from tests.infra.delivery import ACCOUNTS, REGION, REGISTRY, delivered_context, of_kind, synthesize_delivery
from tests.infra.synthesis import ROOT

DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
ISSUER = "token.actions.githubusercontent.com"
JWT = {"auth": {"mode": "jwt", "jwt": {"issuer": "https://id.example.com/", "audience": ["https://images.example"]}}}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return synthesize_delivery(tmp_path_factory.mktemp("delivery"))


def text(value: Any) -> str:
    """An ARN with its partition filled in."""
    if isinstance(value, dict) and "Fn::Join" in value:
        return "".join("aws" if isinstance(part, dict) else part for part in value["Fn::Join"][1])
    return str(value)


def test_each_account_has_a_stack_and_the_registrys_comes_first(templates: dict[str, dict[str, Any]]) -> None:
    assert list(templates) == ["LoupeDelivery", *(f"LoupeDelivery-{account}" for account in ACCOUNTS.values())]
    assert len(of_kind(templates["LoupeDelivery"], "AWS::ECR::Repository")) == 1


def test_a_role_is_for_one_workflow_file_branch_repository_and_environment(
    templates: dict[str, dict[str, Any]],
) -> None:
    """Every claim is compared as a whole: no pattern that another repository could meet."""
    expected = {"registry": "deliver.yml"} | dict.fromkeys(ACCOUNTS, "deploy.yml")
    roles = [role for template in templates.values() for role in of_kind(template, "AWS::IAM::Role")]
    assert {role["RoleName"] for role in roles} == {f"github-loupe-{name}" for name in expected}
    for role in roles:
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert list(statement["Condition"]) == ["StringEquals"]
        name = role["RoleName"].removeprefix("github-loupe-")
        assert statement["Condition"]["StringEquals"] == {
            f"{ISSUER}:aud": "sts.amazonaws.com",
            f"{ISSUER}:sub": [
                f"repo:octo-org/loupe:environment:{name}",
                f"repo:octo-org@123456/loupe@456789:environment:{name}",
            ],
            f"{ISSUER}:repository_id": "456789",
            f"{ISSUER}:environment": name,
            f"{ISSUER}:job_workflow_ref": f"octo-org/loupe/.github/workflows/{expected[name]}@refs/heads/main",
        }
        assert "*" not in json.dumps(statement)


def test_a_deploying_role_may_assume_the_bootstrap_roles_of_its_account_and_nothing_else(
    templates: dict[str, dict[str, Any]],
) -> None:
    for account in ACCOUNTS.values():
        (policy,) = of_kind(templates[f"LoupeDelivery-{account}"], "AWS::IAM::Policy")
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        assert [text(resource) for resource in statement["Resource"]] == [
            f"arn:aws:iam::{account}:role/cdk-hnb659fds-{role}-{account}-{REGION}"
            for role in ("deploy-role", "file-publishing-role", "lookup-role")
        ]


def test_the_building_role_may_push_to_the_one_repository(templates: dict[str, dict[str, Any]]) -> None:
    (policy,) = of_kind(templates["LoupeDelivery"], "AWS::IAM::Policy")
    push, token = policy["PolicyDocument"]["Statement"]
    assert push["Resource"]["Fn::GetAtt"][0].startswith("ImagesRepository")
    assert all(action.startswith("ecr:") and "*" not in action and "Delete" not in action for action in push["Action"])
    assert (token["Action"], token["Resource"]) == ("ecr:GetAuthorizationToken", "*")


def test_the_repository_keeps_what_has_a_tag_and_tags_stay(templates: dict[str, dict[str, Any]]) -> None:
    (repository,) = of_kind(templates["LoupeDelivery"], "AWS::ECR::Repository")
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged"]


def test_images_can_be_encrypted_with_a_key_of_ones_own(tmp_path: Path) -> None:
    values = delivered_context()
    key = f"arn:aws:kms:{REGION}:{REGISTRY}:key/0d1c2b3a-0000-4000-8000-000000000000"
    values["delivery"]["registry"]["kms_key"] = key
    (repository,) = of_kind(synthesize_delivery(tmp_path, values)["LoupeDelivery"], "AWS::ECR::Repository")
    assert repository["EncryptionConfiguration"] == {"EncryptionType": "KMS", "KmsKey": key}


def test_only_functions_of_the_environments_may_pull(templates: dict[str, dict[str, Any]]) -> None:
    (repository,) = of_kind(templates["LoupeDelivery"], "AWS::ECR::Repository")
    statements = repository["RepositoryPolicyText"]["Statement"]
    assert all(statement["Action"] == ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] for statement in statements)
    services = [statement for statement in statements if statement["Principal"] == {"Service": "lambda.amazonaws.com"}]
    assert [text(statement["Condition"]["ArnLike"]["aws:SourceArn"]) for statement in services] == [
        f"arn:aws:lambda:{REGION}:{account}:function:loupe-*" for account in ACCOUNTS.values()
    ]
    accounts = [text(statement["Principal"]["AWS"]) for statement in statements if "AWS" in statement["Principal"]]
    assert accounts == [f"arn:aws:iam::{account}:root" for account in ACCOUNTS.values()]
    assert len(statements) == len(services) + len(accounts)


def test_an_environment_in_the_registrys_account_shares_its_stack_and_provider(tmp_path: Path) -> None:
    values = delivered_context()
    values["delivery"]["registry"]["account"] = ACCOUNTS["dev"]
    built = synthesize_delivery(tmp_path, values)
    assert list(built) == ["LoupeDelivery", "LoupeDelivery-222222222222", "LoupeDelivery-333333333333"]
    assert len(of_kind(built["LoupeDelivery"], "AWS::IAM::OIDCProvider")) == 1
    assert len(of_kind(built["LoupeDelivery"], "AWS::IAM::Role")) == 2


def test_an_existing_provider_is_used(tmp_path: Path) -> None:
    values = delivered_context()
    values["delivery"]["github"]["existing_providers"] = [ACCOUNTS["prod"]]
    built = synthesize_delivery(tmp_path, values)
    template = built[f"LoupeDelivery-{ACCOUNTS['prod']}"]
    assert of_kind(template, "AWS::IAM::OIDCProvider") == []
    (role,) = of_kind(template, "AWS::IAM::Role")
    principal = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Federated"]
    assert text(principal) == f"arn:aws:iam::{ACCOUNTS['prod']}:oidc-provider/{ISSUER}"


def test_with_signed_requests_the_role_may_call_the_api_that_it_tests(tmp_path: Path) -> None:
    values = delivered_context()
    values["environments"]["prod"]["auth"] = {"mode": "iam"}
    (policy,) = of_kind(synthesize_delivery(tmp_path, values)[f"LoupeDelivery-{ACCOUNTS['prod']}"], "AWS::IAM::Policy")
    _, invoke = policy["PolicyDocument"]["Statement"]
    assert invoke["Action"] == "execute-api:Invoke"
    assert text(invoke["Resource"]) == f"arn:aws:execute-api:{REGION}:{ACCOUNTS['prod']}:*/live/*"


def test_snapshot(templates: dict[str, dict[str, Any]], snapshot: SnapshotAssertion) -> None:
    for name in ("LoupeDelivery", f"LoupeDelivery-{ACCOUNTS['prod']}"):
        snapshot(name=name, extension_class=JSONSnapshotExtension).assert_match(templates[name])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("delivery", "github", "repository", "octo-org/*"), "without wildcards"),
        (("delivery", "github", "repository", "loupe"), "OWNER/NAME"),
        (("delivery", "github", "repository_id", "*"), "a number as text"),
        (("delivery", "github", "branch", "release/*"), "without wildcards"),
        (("delivery", "github", "existing_providers", ["444444444444"]), "the account of no environment"),
        (("delivery", "registry", "region", "eu-west-1"), "its own region only"),
        (("delivery", "environments", ["dev", "dev"]), "each environment once"),
        (("delivery", "environments", ["registry"]), "the build's own GitHub environment"),
        (("delivery", "environments", ["local"]), "not on AWS"),
        (("environments", "prod", "account", None), "environments.prod.account"),
        (("environments", "prod", "region", None), "environments.prod.region"),
        (("environments", "prod", "function", {"architecture": "arm64", "reserved_concurrency": 50}), "architecture"),
        (
            ("environments", "dev", "image", {"source": "ecr", "repository": "loupe", "digest": DIGEST}),
            "builds its own",
        ),
        (
            ("environments", "prod", "release", {"strategy": "linear", "percent": 10, "interval_minutes": 15}),
            "shifts traffic for 135 minutes, and a job of the delivery has time for 50",
        ),
    ],
)
def test_undeliverable_settings_are_rejected_with_a_clear_message(change: tuple[Any, ...], sentence: str) -> None:
    values = delivered_context()
    *path, key, value = change
    section = values
    for part in path:
        section = section[part]
    section[key] = value
    with pytest.raises(SettingsError, match=sentence):
        load_delivery(values)


def test_without_a_delivery_the_app_says_what_is_missing() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "infra.delivery_app"], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps({"environments": {}})},
    )  # fmt: skip
    assert run.returncode == 1
    assert "context.delivery" in run.stderr
    assert "docs/delivery.md" in run.stderr
    assert "Traceback" not in run.stderr


def delivered(folder: Path, environment: str, values: dict[str, Any], **release: str) -> dict[str, Any]:
    from infra.app import build as build_environment

    app = cdk.App(
        context={**values, "env": environment, **{key.replace("_", "-"): value for key, value in release.items()}},
        outdir=str(folder), analytics_reporting=False,
    )  # fmt: skip
    build_environment(app)
    (stack,) = app.synth().stacks
    return dict(stack.template)


def images(template: dict[str, Any]) -> set[str]:
    return {
        text(properties["Code"]["ImageUri"]).replace("awsURL", "aws")
        for properties in of_kind(template, "AWS::Lambda::Function")
    }


def test_every_environment_runs_the_same_digest_of_the_registrys_account(tmp_path: Path) -> None:
    uris = set()
    for environment in ACCOUNTS:
        template = delivered(tmp_path / environment, environment, delivered_context(), digest=DIGEST, commit="c" * 40)
        uris |= images(template)
        outputs = template["Outputs"]
        assert outputs["DeliveredDigest"]["Value"] == DIGEST
        assert outputs["DeliveredCommit"]["Value"] == "c" * 40
        assert "DeliveredAuthorizerDigest" not in outputs
    (uri,) = uris
    assert uri.startswith(f"{REGISTRY}.dkr.ecr.{REGION}.")
    assert uri.endswith(f"/loupe@{DIGEST}")


def test_an_environment_with_tokens_runs_the_authorizer_of_the_delivery(tmp_path: Path) -> None:
    values = delivered_context()
    values["environments"]["dev"] |= JWT
    assert load_delivery(values).builds_authorizer
    with pytest.raises(SettingsError, match="authorizer's digest"):
        delivered_images(values, "dev", DIGEST)
    template = delivered(tmp_path, "dev", values, digest=DIGEST, authorizer_digest=OTHER)
    assert {uri.rpartition("@")[2] for uri in images(template)} == {DIGEST, OTHER}


def test_a_digest_needs_a_registry_in_the_region() -> None:
    values = delivered_context()
    values["environments"]["dev"]["region"] = "eu-west-1"
    with pytest.raises(SettingsError, match="its own region only"):
        delivered_images(values, "dev", DIGEST)
    with pytest.raises(SettingsError, match=r"context\.delivery"):
        delivered_images({"environments": values["environments"]}, "dev", DIGEST)
