"""Roles that jobs of GitHub Actions assume by OpenID Connect: no access key is stored anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.components.acknowledge import acknowledge, acknowledge_inline
from infra.settings.delivery import GitHubSettings

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
# The AWS CLI, the CDK and the action ask for an hour; a canary release and a rollback fit into two.
_SESSION = cdk.Duration.hours(2)


def github_provider(scope: Construct, *, account: str, settings: GitHubSettings) -> str:
    """Return the ARN of the account's provider; create it unless the settings say that it exists.

    IAM takes the certificate authorities of GitHub from its own library, so that there is no thumbprint to renew
    (IAM API reference, UpdateOpenIDConnectProviderThumbprint).
    """
    if account not in settings.existing_providers:
        provider = iam.CfnOIDCProvider(scope, "Provider", url=f"https://{ISSUER}", client_id_list=[AUDIENCE])
        # Other roles of the account may trust it.
        provider.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        return provider.attr_arn
    return f"arn:{cdk.Aws.PARTITION}:iam::{account}:oidc-provider/{ISSUER}"


def claims(settings: GitHubSettings, environment: str, workflow: str) -> dict[str, str | list[str]]:
    """Return the claims that a token must have, each compared as a whole (``StringEquals``).

    STS has condition keys for these claims since January 2026. The subject has two forms: repositories created, renamed
    or transferred since 15 July 2026 have the ids in it (aws-actions/configure-aws-credentials issue 1888).

    Parameters
    ----------
    environment
        Environment of GitHub that the job names.
    workflow
        File in ``.github/workflows`` that contains the job: of a reusable workflow, the called one.
    """
    owner, _, name = settings.repository.partition("/")
    subject = f"repo:{settings.repository}:environment:{environment}"
    with_ids = f"repo:{owner}@{settings.owner_id}/{name}@{settings.repository_id}:environment:{environment}"
    return {
        "aud": AUDIENCE,
        "sub": [subject, with_ids],
        "repository_id": settings.repository_id,
        "environment": environment,
        "job_workflow_ref": f"{settings.repository}/.github/workflows/{workflow}@refs/heads/{settings.branch}",
    }


class GitHubRole(Construct):
    """A role for the jobs of one workflow file, branch and environment.

    Parameters
    ----------
    name
        Physical name. It must not begin with ``Loupe-``: the permissions boundary lets a stack change such roles.
    statements
        What the role may do.
    wildcards
        Why a finding of cdk-nag about ``Resource::*`` or another wildcard does not apply, by its id.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        description: str,
        provider: str,
        conditions: Mapping[str, str | list[str]],
        statements: Sequence[iam.PolicyStatement],
        wildcards: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, id)
        equal = {f"{ISSUER}:{claim}": value for claim, value in conditions.items()}
        self.role = iam.Role(
            self,
            "Role",
            role_name=name,
            description=description,
            assumed_by=iam.FederatedPrincipal(provider, {"StringEquals": equal}, "sts:AssumeRoleWithWebIdentity"),
            max_session_duration=_SESSION,
        )
        for statement in statements:
            self.role.add_to_policy(statement)
        policy = self.role.node.find_child("DefaultPolicy")
        acknowledge_inline(policy)
        for finding, reason in (wildcards or {}).items():
            acknowledge(policy, f"AwsSolutions-IAM5[{finding}]", reason)
