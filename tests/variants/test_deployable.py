"""The permissions boundary allows what a deployment of any variant calls, and what its roles allow."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from templates import variant_of

from infra import boundary
from tests.infra.bounded import ACCOUNT, BOUNDED, DOCUMENT, OWN_ROLE, REGION
from tests.infra.delivery import of_kind
from tests.infra.synthesis import Synthesized
from tests.infra.variants import variants
from tools.boundary.evaluate import allows

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


@cache
def handlers(kind: str) -> frozenset[str]:
    """Return the actions of CloudFormation's handlers that create, read, update and delete, by a type's schema."""
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


# The local cloud has no permissions boundary.
@pytest.fixture(scope="module", params=[name for name in variants() if name != "local"])
def stack(request: pytest.FixtureRequest) -> Synthesized:
    return variant_of(request.param).built


def test_every_resource_can_be_created_read_updated_and_deleted(stack: Synthesized) -> None:
    assert len({resource["Type"] for resource in stack.template["Resources"].values()}) > 15
    assert denied(stack.template) == set()


def test_every_exception_is_a_permission_of_the_handler_that_the_boundary_denies() -> None:
    for kind, (actions, reason) in UNUSED.items():
        assert reason
        assert actions <= handlers(kind)
        assert not [action for action in actions if allows(DOCUMENT, action, "*") or allows(DOCUMENT, action, OWN_ROLE)]


def test_physical_names_of_every_environment_are_allowed(stack: Synthesized) -> None:
    for group in of_kind(stack.template, "AWS::Logs::LogGroup"):
        name = group.get("LogGroupName", f"Loupe-{stack.name}-x")
        assert allows(DOCUMENT, "logs:PutRetentionPolicy", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*")
    for alias in of_kind(stack.template, "AWS::KMS::Alias"):
        assert allows(DOCUMENT, "kms:CreateAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias['AliasName']}")
    for function in of_kind(stack.template, "AWS::Lambda::Function"):
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function['FunctionName']}"
        assert allows(DOCUMENT, "lambda:PublishVersion", arn)


def test_a_role_can_do_what_its_own_policy_allows(stack: Synthesized) -> None:
    """The boundary is that of the functions' roles, too: an action that it lacks would be denied at run time."""
    named = arns(stack.template)
    statements = [
        statement
        for policy in of_kind(stack.template, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    actions = {
        action
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert len(actions) > 5
    own = {action: named.get(action.partition(":")[0], "*") for action in actions}
    assert {
        action for action in actions if not any(allows(DOCUMENT, action, arn) for arn in (own[action], "*"))
    } == set()


def test_managed_policies_that_templates_attach_are_allowed(stack: Synthesized) -> None:
    for role in of_kind(stack.template, "AWS::IAM::Role"):
        for managed in role.get("ManagedPolicyArns", []):
            assert managed["Fn::Join"][1][-1].rpartition("/")[2] in boundary.ATTACHED
