"""A Lambda function from a container image, with its role, log group and acknowledgements."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.components.acknowledge import acknowledge, acknowledge_inline
from infra.components.container_image import ContainerImage, image_code, lambda_architecture
from infra.components.explicit import write_tracing
from infra.deployment import Deployment

SYNCHRONOUS = "It is invoked synchronously: the caller gets the failure, and nothing would ever reach such a queue."
# The reason for the wildcard; docs/security.md shows it, too (tools/policies.py).
XRAY_WILDCARD = (
    "X-Ray's PutTraceSegments and PutTelemetryRecords take no resource (Service Authorization Reference, AWS X-Ray); "
    "the CDK grants just these two."
)


class ContainerFunction(Construct):
    """One entry point of an image. All functions of a deployment are made of it.

    Further entry points of the classifier's image are further instances with another command::

        ContainerFunction(
            self,
            "Jobs",
            deployment=deployment,
            name=f"{deployment.name}-jobs",
            description="Starts bulk jobs",
            image=classifier.image,
            command="jobs.handler",
            memory_mib=512,
            timeout=cdk.Duration.seconds(30),
            environment=classifier.variables,
        )

    Parameters
    ----------
    name
        Physical name of the function.
    log_group_name
        Physical name of the log group. None lets CloudFormation choose: a group that is retained when its function is
        removed does not block the name for the next one.
    command
        Handler within the image, such as ``handler.handler``.
    no_dead_letter_queue
        Reason that cdk-nag's rule on dead-letter queues does not apply.

    Attributes
    ----------
    role
        Grant it what the function may do.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        name: str,
        description: str,
        image: ContainerImage,
        command: str,
        memory_mib: int,
        timeout: cdk.Duration,
        environment: Mapping[str, str],
        log_group_name: str | None = None,
        ephemeral_storage_mib: int | None = None,
        reserved_concurrency: int | None = None,
        no_dead_letter_queue: str = SYNCHRONOUS,
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._no_dead_letter_queue = deployment, no_dead_letter_queue
        self.timeout = timeout
        self.log_group = deployment.log_group(self, "Logs", name=log_group_name)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {name} may do: write its own log, send traces",
        )
        self.log_group.grant_write(self.role)
        self.function = lambda_.DockerImageFunction(
            self,
            "Function",
            function_name=name,
            description=description,
            code=image_code(self, image, command),
            architecture=lambda_architecture(image),
            memory_size=memory_mib,
            timeout=timeout,
            ephemeral_storage_size=None if ephemeral_storage_mib is None else cdk.Size.mebibytes(ephemeral_storage_mib),
            reserved_concurrent_executions=reserved_concurrency,
            role=self.role,
            log_group=self.log_group,
            tracing=deployment.function_tracing,
            environment=dict(environment),
            # Versions are retained: the alias may return to an earlier one, and a bulk job continues with the one that
            # it started with. `make prune` deletes unused ones. The version of a failed deployment is deleted at once:
            # Lambda would not publish the same content again, and CloudFormation rejects the old number.
            current_version_options=lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE),
        )
        write_tracing(self.function)
        self._acknowledge()

    def add_alias(self, name: str, *, description: str, provisioned: int | None = None) -> lambda_.Alias:
        """Add an alias of the current version, with this many provisioned execution environments."""
        return self.function.add_alias(name, description=description, provisioned_concurrent_executions=provisioned)

    def _acknowledge(self) -> None:
        acknowledge(self.function, "NIST.800.53.R5-LambdaDLQ", self._no_dead_letter_queue)
        acknowledge(
            self.function,
            "NIST.800.53.R5-LambdaInsideVPC",
            "It needs nothing in a VPC. Its settings and address checks decide what it may reach over the internet.",
        )
        # The grant for the log group has made the policy.
        policy = self.role.node.find_child("DefaultPolicy")
        acknowledge_inline(policy)
        if self._deployment.tracing:
            acknowledge(
                policy,
                "AwsSolutions-IAM5[Resource::*]",
                XRAY_WILDCARD,
            )
