"""The permissions boundary: every resource of the templates can be deployed under it, and nothing escapes it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from delivery import ACCOUNTS, delivered_context, of_kind, synthesize_delivery
from synthesis import ROOT, Synthesized, once, synthesize
from transitions import EXPERIMENT

from infra import boundary
from infra.settings import SettingsError, load_settings
from tools.boundary.__main__ import PAGE, text
from tools.boundary.evaluate import allows

ACCOUNT = "111122223333"
REGION = "eu-central-1"
DOCUMENT = boundary.document(account=ACCOUNT)
POLICY = f"arn:aws:iam::{ACCOUNT}:policy/{boundary.NAME}"
OWN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/Loupe-prod-ClassifierRole4B22115A-x"
BOUNDED = {"iam:PermissionsBoundary": POLICY}
# Prod with what no environment of cdk.json has; test_policies.py and test_transitions.py have the same settings.
VARIANTS: dict[str, dict[str, Any]] = {
    "jwt": {
        "auth": {"mode": "jwt", "jwt": {"issuer": "https://id.example", "audience": ["loupe"]}},
        "scaling": {"provisioned": {"min": 1, "max": 5}},
    },
    "experiment": EXPERIMENT,
    "cognito": {"auth": {"mode": "cognito", "cognito": {"domain_prefix": "loupe-example"}}},
    "arrivals": {"bulk": {"max_concurrency": 30, "on_upload": {"enabled": True, "notify": True}}},
    "shadow": {"shadow": {"challenger": "hair-type-large", "reserved_concurrency": 10}},
    "budget": {"alarms": {"budget": {"monthly_usd": 100}, "subscriptions": ["on-call@example.com"]}},
    "sampling": {"function": {"trace_sampling": {"rate": 0.01, "per_second": 1}, "reserved_concurrency": 50}},
}
# Handlers name these for properties that no component sets.
UNUSED = {
    "AWS::Budgets::Budget": ({"billing:GetBillingViewData"}, "billing views"),
    "AWS::Cognito::UserPoolClient": ({"iam:PutRolePolicy", "iam:DeleteRolePolicy"}, "analytics by Amazon Pinpoint"),
    "AWS::Cognito::UserPoolDomain": ({"cloudfront:updateDistribution"}, "a custom domain with its certificate"),
    "AWS::IAM::Policy": (
        {"iam:DeleteGroupPolicy", "iam:DeleteUserPolicy", "iam:GetGroupPolicy", "iam:GetUserPolicy",
         "iam:PutGroupPolicy", "iam:PutUserPolicy"},
        "policies of users and groups",
    ),
    "AWS::IAM::Role": ({"iam:DeleteRolePermissionsBoundary"}, "a role that loses its boundary"),
    "AWS::Lambda::Function": (
        {"ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
         "elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"},
        "functions in a VPC, and file systems",
    ),
    "AWS::Logs::LogGroup": ({"firehose:TagDeliveryStream"}, "delivery streams"),
    "AWS::S3::Bucket": (
        {"s3tables:CreateNamespace", "s3tables:CreateTable", "s3tables:CreateTableBucket", "s3tables:GetTable",
         "s3tables:GetTableMetadataLocation", "s3tables:PutTableBucketPolicy", "s3tables:PutTableEncryption",
         "s3tables:PutTablePolicy", "s3tables:UpdateTableMetadataLocation"},
        "metadata tables",
    ),
    "AWS::WAFv2::LoggingConfiguration": ({"iam:DescribeOrganization"}, "Firewall Manager; IAM has no such action"),
    "AWS::WAFv2::WebACL": ({"payments:GetConnectedAccount"}, "monetization of bots"),
}  # fmt: skip
# An association is made with a stage of API Gateway; its handler names the actions of every other target, too.
ASSOCIATION_SERVICES = {"apigateway", "cognito-idp", "wafv2"}
# Beyond the handlers: whoever creates a function reads its image (Lambda developer guide, 'Amazon ECR permissions').
DOCUMENTED = {"AWS::Lambda::Function": {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}}


@pytest.fixture(params=["dev", "staging", "prod"])
def on_aws(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return once(request.param, tmp_path_factory)


@cache
def handlers(kind: str) -> frozenset[str]:
    """Return the actions of CloudFormation's handlers that create, read, update and delete a resource, by its schema."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema["handlers"]
    # A type that cannot be updated has no such handler.
    return frozenset(
        permission
        for name in ("create", "read", "update", "delete")
        for permission in handlers.get(name, {}).get("permissions", ())
    )


def unused(kind: str) -> set[str]:
    if kind == "AWS::WAFv2::WebACLAssociation":
        return {action for action in handlers(kind) if action.partition(":")[0] not in ASSOCIATION_SERVICES}
    return UNUSED.get(kind, (set(), ""))[0]


def arns(template: dict[str, Any]) -> dict[str, str]:
    """By service, an ARN that the template's resources have: physical names, or those that CloudFormation makes."""
    (function, *_) = [properties["FunctionName"] for properties in of_kind(template, "AWS::Lambda::Function")]
    environment = function.removeprefix("loupe-")
    stack = f"Loupe-{environment}"
    return {
        "iam": f"arn:aws:iam::{ACCOUNT}:role/{stack}-Role-x",
        "kms": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0d1c2b3a",
        "lambda": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}",
        "logs": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{stack}-Logs-x:*",
        "s3": f"arn:aws:s3:::{stack.lower()}-bucket-x",
        "secretsmanager": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:CallersSecretDefaultC7673968-x",
        "sns": f"arn:aws:sns:{REGION}:{ACCOUNT}:{stack}-Topic-x",
        "sqs": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{stack}-Queue-x",
        "ssm": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{function}/experiment-weights",
        "states": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{function}-bulk",
    }


def requests(kind: str, action: str) -> dict[str, str]:
    """Condition keys of a handler's request, as the templates make it."""
    if action == "iam:PassRole":
        return {"iam:PassedToService": "lambda.amazonaws.com"}
    if action == "iam:CreateServiceLinkedRole":
        return {"iam:AWSServiceName": "wafv2.amazonaws.com"}
    if action == "iam:AttachRolePolicy":
        return BOUNDED | {"iam:PolicyARN": f"arn:aws:iam::aws:policy/service-role/{boundary.ATTACHED[0]}"}
    return BOUNDED if kind in ("AWS::IAM::Role", "AWS::IAM::Policy") else {}


def denied(template: dict[str, Any]) -> set[tuple[str, str]]:
    """Resource type and action that a deployment of the template needs and the boundary does not allow."""
    named = arns(template)
    linked = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/service.amazonaws.com/AWSServiceRole"
    missing = set()
    for kind in {resource["Type"] for resource in template["Resources"].values()}:
        for action in (handlers(kind) | DOCUMENTED.get(kind, set())) - unused(kind):
            own = linked if action == "iam:CreateServiceLinkedRole" else named.get(action.partition(":")[0], "*")
            if not any(allows(DOCUMENT, action, resource, requests(kind, action)) for resource in (own, "*")):
                missing.add((kind, action))
    return missing


def test_every_resource_can_be_created_read_updated_and_deleted(on_aws: Synthesized) -> None:
    template = on_aws.template
    assert len({resource["Type"] for resource in template["Resources"].values()}) > 20
    assert denied(template) == set()


@pytest.mark.parametrize("variant", VARIANTS)
def test_resources_of_other_settings_can_be_deployed(variant: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert denied(once("prod", tmp_path_factory, VARIANTS[variant]).template) == set()


def test_every_exception_is_a_permission_of_the_handler_that_the_boundary_denies() -> None:
    for kind, (actions, reason) in UNUSED.items():
        assert reason
        assert actions <= handlers(kind)
        assert not [action for action in actions if allows(DOCUMENT, action, "*") or allows(DOCUMENT, action, OWN_ROLE)]


def test_physical_names_of_every_environment_are_allowed(on_aws: Synthesized) -> None:
    for group in of_kind(on_aws.template, "AWS::Logs::LogGroup"):
        name = group.get("LogGroupName", f"Loupe-{on_aws.name}-x")
        assert allows(DOCUMENT, "logs:PutRetentionPolicy", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*")
    for alias in of_kind(on_aws.template, "AWS::KMS::Alias"):
        assert allows(DOCUMENT, "kms:CreateAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias['AliasName']}")
    for function in of_kind(on_aws.template, "AWS::Lambda::Function"):
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function['FunctionName']}"
        assert allows(DOCUMENT, "lambda:PublishVersion", arn)


def test_a_role_can_do_what_its_own_policy_allows(on_aws: Synthesized) -> None:
    """The boundary is that of the functions' roles, too: an action that it lacks would be denied at run time."""
    named = arns(on_aws.template)
    statements = [
        statement
        for policy in of_kind(on_aws.template, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    actions = {
        action
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert len(actions) > 20
    own = {action: named.get(action.partition(":")[0], "*") for action in actions}
    assert {
        action for action in actions if not any(allows(DOCUMENT, action, arn) for arn in (own[action], "*"))
    } == set()


def test_managed_policies_that_templates_attach_are_allowed(on_aws: Synthesized) -> None:
    for role in of_kind(on_aws.template, "AWS::IAM::Role"):
        for managed in role.get("ManagedPolicyArns", []):
            assert managed["Fn::Join"][1][-1].rpartition("/")[2] in boundary.ATTACHED


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


def test_every_role_of_a_stack_has_the_boundary_of_its_settings(tmp_path: Path) -> None:
    template = synthesize(tmp_path, "prod", {"protection": {"permissions_boundary": boundary.NAME}}).template
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
