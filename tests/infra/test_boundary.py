"""The permissions boundary: nothing escapes it. `tests/variants/test_deployable.py` checks what it has to allow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import boundary
from infra.settings import SettingsError, load_settings
from tests.infra.bounded import ACCOUNT, BOUNDED, DOCUMENT, OWN_ROLE, POLICY, REGION
from tests.infra.delivery import ACCOUNTS, delivered_context, of_kind, synthesize_delivery
from tests.infra.synthesis import ROOT, Synthesized, synthesize
from tools.boundary.__main__ import PAGE, text
from tools.boundary.evaluate import allows


@pytest.fixture(params=["dev", "staging", "prod"])
def on_aws(request: pytest.FixtureRequest) -> Synthesized:
    return synthesize(request.param)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:CreateRole", OWN_ROLE, {}),
        ("iam:CreateRole", OWN_ROLE, {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("iam:PutRolePolicy", OWN_ROLE, {}),
        ("iam:PutRolePermissionsBoundary", OWN_ROLE, {"iam:PermissionsBoundary": f"{POLICY}-wider"}),
        ("iam:DeleteRolePermissionsBoundary", OWN_ROLE, BOUNDED),
        ("iam:AttachRolePolicy", OWN_ROLE, BOUNDED | {"iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/admin", BOUNDED),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/github-loupe-prod", BOUNDED),
        ("iam:UpdateAssumeRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/cdk-hnb659fds-cfn-exec-role-x", {}),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("iam:PassRole", OWN_ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}),
        ("iam:CreatePolicyVersion", POLICY, {}),
        ("iam:SetDefaultPolicyVersion", POLICY, {}),
        ("iam:DeletePolicy", POLICY, {}),
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x", BOUNDED),
        ("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/x", {}),
        ("iam:UpdateOpenIDConnectProviderThumbprint", f"arn:aws:iam::{ACCOUNT}:oidc-provider/x", {}),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/Loupe-prod-x", {}),
        ("organizations:LeaveOrganization", "*", {}),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payroll", {}),
        ("s3:GetObject", "arn:aws:s3:::payroll/2026.csv", {}),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:payroll-x", {}),
        ("logs:DeleteLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/payroll:*", {}),
        ("ec2:RunInstances", "*", {}),
        ("ssm:GetParameters", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/payroll", {}),
        ("cloudformation:CreateStack", "*", {}),
    ],
)
def test_escalation_is_denied(action: str, resource: str, context: dict[str, str]) -> None:
    assert not allows(DOCUMENT, action, resource, context)


def test_roles_with_the_boundary_are_the_ones_that_can_be_made() -> None:
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
        assert allows(DOCUMENT, action, OWN_ROLE, BOUNDED)


def test_iam_accepts_the_size_with_all_settings_that_add_statements() -> None:
    largest = boundary.document(
        account=ACCOUNT, secrets=[f"team/client-{n}" for n in range(5)], locations=[f"bucket-{n}" for n in range(5)]
    )
    assert len("".join(json.dumps(largest).split())) < boundary.MAX_CHARACTERS


def test_secrets_and_buckets_that_settings_name_are_readable_and_no_others() -> None:
    values = delivered_context()
    values["environments"]["prod"] |= {
        "auth": {"clients": {"app": {"secret": "team/loupe-key"}}},
        "inputs": {"s3": {"locations": ["archive/2026/"]}},
    }
    document = boundary.for_environments(ACCOUNT, [load_settings(values, "prod")])
    assert allows(
        document, "secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:x:{ACCOUNT}:secret:team/loupe-key-a"
    )
    assert not allows(
        document, "secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:x:{ACCOUNT}:secret:team/other-a"
    )
    assert allows(document, "s3:GetObject", "arn:aws:s3:::archive/2026/a.jpg")
    assert allows(document, "s3:ListBucket", "arn:aws:s3:::archive")
    assert not allows(document, "s3:PutObject", "arn:aws:s3:::archive/2026/a.jpg")


def test_the_delivery_creates_the_policy_in_each_account_with_environments(tmp_path: Path) -> None:
    templates = synthesize_delivery(tmp_path)
    assert of_kind(templates["LoupeDelivery"], "AWS::IAM::ManagedPolicy") == []
    for account in ACCOUNTS.values():
        (policy,) = of_kind(templates[f"LoupeDelivery-{account}"], "AWS::IAM::ManagedPolicy")
        assert policy["ManagedPolicyName"] == boundary.NAME
        assert policy["PolicyDocument"] == boundary.document(account=account)


def test_the_published_document_is_the_generated_one() -> None:
    """If this fails: make boundary."""
    assert PAGE.read_text(encoding="utf-8") == text()


def test_every_role_of_a_stack_has_the_boundary_of_its_settings() -> None:
    template = synthesize("prod", {"protection": {"permissions_boundary": boundary.NAME}}).template
    roles = of_kind(template, "AWS::IAM::Role")
    assert len(roles) > 3
    for role in roles:
        assert json.dumps(role["PermissionsBoundary"]).count(f"policy/{boundary.NAME}") == 1


def test_a_stack_without_the_setting_has_no_boundary(on_aws: Synthesized) -> None:
    assert not [role for role in of_kind(on_aws.template, "AWS::IAM::Role") if "PermissionsBoundary" in role]


def test_the_local_cloud_rejects_a_boundary() -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    with pytest.raises(SettingsError, match="permissions_boundary"):
        load_settings(context, "local", {"protection": {"permissions_boundary": boundary.NAME}})


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "iam:*", "Resource": "*", "Condition": {"StringLike": {"aws:x": "*"}}},
    ],
)
def test_the_evaluation_rejects_what_it_does_not_cover(statement: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not evaluated here"):
        allows({"Statement": [statement]}, "iam:CreateRole", OWN_ROLE)
