"""The permissions boundary of CloudFormation's execution role and of every role that a stack of this project creates.

A boundary grants nothing. It caps the execution role of ``cdk bootstrap``, which has administrator rights without one,
and the roles of the templates: a changed template cannot give itself more than this. The names that it allows are
those of stacks ``Loupe-<environment>`` and physical names ``loupe-<environment>``.

Sources: IAM user guide, 'Permissions boundaries for IAM entities'; CDK developer guide, 'Create and apply permissions
boundaries'; the `handlers` of the CloudFormation resource schemas, with which ``tests/variants/test_deployable.py``
compares the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from infra.settings import Settings

NAME: Final = "loupe-boundary"
# IAM and STS quotas: characters of a managed policy, white space not counted.
MAX_CHARACTERS: Final = 6144
# Managed policies of AWS (service-role/) that the components attach to roles.
ATTACHED: Final = ("AmazonAPIGatewayPushToCloudWatchLogs",)
# Services that the roles of a template are passed to.
PASSED_TO: Final = ("apigateway", "codedeploy", "events", "lambda", "states")
# Services whose own roles CloudFormation creates with the first resource of an account.
LINKED: Final = ("lambda.application-autoscaling", "ops.apigateway", "wafv2")
# Actions without a resource, or on resources that have an id instead of a name.
_UNNAMED: Final = (
    "apigateway:*", "application-autoscaling:*", "budgets:*", "cloudwatch:*", "codedeploy:*", "cognito-idp:*",
    "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "events:*", "firehose:ListDeliveryStreams", "kms:CreateKey",
    "kms:List*", "lambda:*EventSourceMapping*", "lambda:List*", "logs:*LogDeliver*", "logs:*QueryDefinition*",
    "logs:*ResourcePolic*", "logs:DescribeLogGroups", "route53:ChangeResourceRecordSets", "route53:Get*",
    "route53:List*", "s3:ListAllMyBuckets", "secretsmanager:GetRandomPassword", "secretsmanager:ListSecrets",
    "sns:List*", "sns:Unsubscribe", "states:List*", "states:ValidateStateMachineDefinition", "wafv2:*", "xray:*",
)  # fmt: skip
# What API Gateway's role for logs needs, which serves all APIs of an account (API Gateway developer guide,
# 'Permissions for CloudWatch logging').
_LOG_WRITING: Final = (
    "logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:FilterLogEvents",
    "logs:GetLogEvents", "logs:PutLogEvents",
)  # fmt: skip
_BUCKET_READS: Final = ("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket")
_SECRETS: Final = (
    "secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret",
    "secretsmanager:RemoveRegionsFromReplication", "secretsmanager:ReplicateSecretToRegions",
    "secretsmanager:TagResource", "secretsmanager:UntagResource", "secretsmanager:UpdateSecret",
)  # fmt: skip
_ROLES: Final = (
    "iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
    "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
)  # fmt: skip
_BOUNDED: Final = (
    "iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
)  # fmt: skip


def document(
    *,
    account: str,
    partition: str = "aws",
    secrets: Sequence[str] = (),
    locations: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the policy document.

    Parameters
    ----------
    account
        Account in which the policy is created.
    secrets
        Names or ARNs of secrets that settings name (``auth.clients.<name>.secret``).
    locations
        Buckets, or prefixes of them, outside the stack that settings name: ``inputs.s3.locations``, the truststore.
    """

    def arn(service: str, resource: str, region: str = "*") -> str:
        return f"arn:{partition}:{service}:{region}:{account}:{resource}"

    roles, policy = arn("iam", "role/Loupe-*", ""), arn("iam", f"policy/{NAME}", "")
    linked = arn("iam", "role/aws-service-role/*", "")
    with_boundary = {"StringEquals": {"iam:PermissionsBoundary": policy}}
    attached = {"iam:PolicyARN": [f"arn:{partition}:iam::aws:policy/service-role/{name}" for name in ATTACHED]}
    names = sorted({location.partition("/")[0] for location in locations})
    outside = [f"arn:{partition}:s3:::{name}{objects}" for name in names for objects in ("", "/*")]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("Unnamed", (*_UNNAMED, *_LOG_WRITING), "*"),
            _allow("Functions", ["lambda:*"], arn("lambda", "function:loupe-*")),
            _allow(
                "Logs",
                ["logs:*"],
                *(
                    arn("logs", f"log-group:{name}*")
                    for name in ("/aws/lambda/loupe-", "Loupe-", "aws-waf-logs-loupe-")
                ),
            ),
            _allow("Buckets", ["s3:*"], f"arn:{partition}:s3:::loupe-*"),
            *([_allow("OtherBuckets", _BUCKET_READS, *outside)] if outside else []),
            _allow("Topics", ["sns:*"], arn("sns", "Loupe-*")),
            _allow("Queues", ["sqs:*"], arn("sqs", "Loupe-*")),
            _allow("StateMachines", ["states:*"], arn("states", "*:loupe-*")),
            _allow("Keys", ["kms:*"], arn("kms", "key/*"), arn("kms", "alias/loupe-*")),
            _allow("Secrets", _SECRETS, arn("secretsmanager", "secret:*")),
            _allow(
                "SecretValues",
                ["secretsmanager:GetSecretValue"],
                *(
                    secret if secret.startswith("arn:") else arn("secretsmanager", f"secret:{secret}-*")
                    # CloudFormation names a secret after its logical id.
                    for secret in ("CallersSecret*", *secrets)
                ),
            ),
            _allow("Parameters", ["ssm:*Parameter*", "ssm:*Tags*"], arn("ssm", "parameter/loupe-*")),
            # CloudFormation reads the version of the bootstrap stack, a parameter of every template.
            _allow("Bootstrap", ["ssm:GetParameters"], arn("ssm", "parameter/cdk-bootstrap/*")),
            _allow("Roles", _ROLES, roles),
            _allow("BoundedRoles", _BOUNDED, roles, condition=with_boundary),
            _allow("Attach", ["iam:AttachRolePolicy"], roles, condition={**with_boundary, "ArnEquals": attached}),
            _allow(
                "Pass",
                ["iam:PassRole"],
                roles,
                condition={"StringEquals": {"iam:PassedToService": [f"{name}.amazonaws.com" for name in PASSED_TO]}},
            ),
            _allow(
                "Linked",
                ["iam:CreateServiceLinkedRole"],
                linked,
                condition={"StringEquals": {"iam:AWSServiceName": [f"{name}.amazonaws.com" for name in LINKED]}},
            ),
            # Denials, in case the statements above are widened.
            {"Sid": "OwnRolesOnly", "Effect": "Deny", "Action": "iam:*", "NotResource": [roles, linked]},
            {"Sid": "BoundaryStays", "Effect": "Deny", "Action": "iam:DeleteRolePermissionsBoundary", "Resource": "*"},
            {"Sid": "NoOtherRoles", "Effect": "Deny", "Action": ["organizations:*", "sts:*"], "Resource": "*"},
        ],
    }


def for_environments(account: str, environments: Iterable[Settings]) -> dict[str, Any]:
    """Return the document of an account, with the secrets and buckets that its environments name."""
    secrets: set[str] = set()
    locations: set[str] = set()
    for settings in environments:
        secrets |= {plan.secret for plan in settings.clients.values() if plan.secret}
        locations |= set(settings.inputs.s3.locations)
        domain = settings.network.domain
        if domain is not None and domain.mutual_tls is not None:
            locations.add(domain.mutual_tls.truststore.removeprefix("s3://"))
    return document(account=account, secrets=sorted(secrets), locations=sorted(locations))


def _allow(
    sid: str, actions: Sequence[str], *resources: str, condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement | ({"Condition": condition} if condition else {})
