"""The delivery's part of one account: identity provider, roles, permissions boundary and, in one, the registry."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra import boundary
from infra.components.acknowledge import acknowledge
from infra.components.github_role import GitHubRole, claims, github_provider
from infra.components.image_registry import ImageRegistry
from infra.logical_ids import pascal_case
from infra.settings import Settings
from infra.settings.delivery import BUILD_ENVIRONMENT, Delivery

# Files in .github/workflows. Only jobs of these files get credentials.
BUILD_WORKFLOW, DEPLOY_WORKFLOW = "deliver.yml", "deploy.yml"
# Bootstrap roles of a deployment without container images of its own: change sets, the template's upload, look-ups.
_BOOTSTRAP_ROLES = ("deploy-role", "file-publishing-role", "lookup-role")
_PUSH = (
    "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
    "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
)  # fmt: skip
_NO_RESOURCE = "GetAuthorizationToken takes no resource (Service Authorization Reference, Amazon ECR)."
_BOUNDARY_WILDCARD = (
    "A permissions boundary grants nothing: it limits what the policies of a role may grant, and names services."
)


class DeliveryStack(cdk.Stack):
    """One account's roles: one for each environment, and in the registry's account one that pushes images.

    Parameters
    ----------
    environments
        Environments of this account.
    qualifier
        Of the bootstrap stack, whose roles the deploying roles may assume.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        delivery: Delivery,
        account: str,
        environments: Sequence[Settings],
        qualifier: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self._delivery, self._qualifier = delivery, qualifier
        self._provider = github_provider(self, account=account, settings=delivery.settings.github)
        self.template_options.description = "Loupe: delivery from GitHub"
        if account == delivery.settings.registry.account:
            self._add_registry()
        for settings in environments:
            self._add_environment(settings)
        if environments:
            self._add_boundary(account, environments)

    def _add_registry(self) -> None:
        settings = self._delivery.settings.registry
        accounts = sorted({environment.account or "" for environment in self._delivery.environments.values()})
        repository = ImageRegistry(self, "Images", settings=settings, accounts=accounts).repository
        role = GitHubRole(
            self,
            "Build",
            name=f"github-loupe-{BUILD_ENVIRONMENT}",
            description=f"Pushes container images to {settings.repository}",
            provider=self._provider,
            conditions=claims(self._delivery.settings.github, BUILD_ENVIRONMENT, BUILD_WORKFLOW),
            statements=[
                iam.PolicyStatement(actions=list(_PUSH), resources=[repository.repository_arn]),
                iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"]),
            ],
            wildcards={"Resource::*": _NO_RESOURCE},
        )
        cdk.CfnOutput(
            self,
            "RegistryRoleArn",
            value=role.role.role_arn,
            description=f"Variable LOUPE_ROLE_ARN of the GitHub environment {BUILD_ENVIRONMENT}",
        )

    def _add_environment(self, settings: Settings) -> None:
        name, account, region = settings.environment, settings.account, settings.region
        bootstrap = [
            f"arn:{cdk.Aws.PARTITION}:iam::{account}:role/cdk-{self._qualifier}-{role}-{account}-{region}"
            for role in _BOOTSTRAP_ROLES
        ]
        statements = [iam.PolicyStatement(actions=["sts:AssumeRole"], resources=bootstrap)]
        wildcards = {}
        if settings.auth.mode == "iam":
            # The smoke test signs its requests as this role.
            routes = f"arn:{cdk.Aws.PARTITION}:execute-api:{region}:{account}:*/{settings.api.stage}/*"
            statements.append(iam.PolicyStatement(actions=["execute-api:Invoke"], resources=[routes]))
            finding = re.sub(r"\$\{Token\[AWS\.Partition\.\d+\]\}", "<AWS::Partition>", routes)
            wildcards[f"Resource::{finding}"] = "The id of the API is made when the environment is deployed."
        role = GitHubRole(
            self,
            f"Deploy{pascal_case(name)}",
            name=f"github-loupe-{name}",
            description=f"Deploys Loupe-{name}",
            provider=self._provider,
            conditions=claims(self._delivery.settings.github, name, DEPLOY_WORKFLOW),
            statements=statements,
            wildcards=wildcards,
        )
        cdk.CfnOutput(
            self,
            f"{pascal_case(name)}RoleArn",
            value=role.role.role_arn,
            description=f"Variable LOUPE_ROLE_ARN of the GitHub environment {name}",
        )

    def _add_boundary(self, account: str, environments: Sequence[Settings]) -> None:
        document = boundary.for_environments(account, environments)
        policy = iam.CfnManagedPolicy(
            self,
            "Boundary",
            managed_policy_name=boundary.NAME,
            description="Permissions boundary of the roles of Loupe stacks and of the role that deploys them",
            policy_document=document,
        )
        # Roles outside this stack have it.
        policy.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        acknowledge(policy, "NIST.800.53.R5-IAMPolicyNoStatementsWithFullAccess", _BOUNDARY_WILDCARD)
        for finding in _wildcards(document):
            acknowledge(policy, f"AwsSolutions-IAM5[{finding}]", _BOUNDARY_WILDCARD)


def _wildcards(document: dict[str, Any]) -> list[str]:
    """Return the ids of cdk-nag's findings about a document: allowed actions and resources with a wildcard."""
    findings = set()
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        for kind in ("Action", "Resource"):
            values = statement[kind] if isinstance(statement[kind], list) else [statement[kind]]
            findings |= {f"{kind}::{value}" for value in values if "*" in json.dumps(value)}
    return sorted(findings)
