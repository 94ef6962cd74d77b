"""Classify on upload: S3 -> EventBridge -> SQS -> the bulk function, which receives records in batches."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.components.container_function import ContainerFunction
from infra.deployment import Deployment
from infra.settings.bulk import OnUploadSettings

# Lambda developer guide, 'Configuring a queue to use with Lambda': six times the function's timeout.
VISIBILITY_FACTOR = 6
RETENTION = cdk.Duration.days(14)


class Arrivals(Construct):
    """Rule, queue, dead-letter queue and event source.

    Attributes
    ----------
    queue, dead_letters
        Of objects that wait, and of those that failed too often.
    topic
        SNS topic with one message for each object; None if `on_upload.notify` is off.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: OnUploadSettings,
        bucket: s3.IBucket,
        function: ContainerFunction,
        alias: lambda_.Alias,
        timeout: cdk.Duration,
    ) -> None:
        super().__init__(scope, id)
        self.dead_letters = self._queue("DeadLetters", deployment)
        self.queue = self._queue(
            "Queue",
            deployment,
            visibility=cdk.Duration.seconds(VISIBILITY_FACTOR * int(timeout.to_seconds())),
            dead_letters=sqs.DeadLetterQueue(max_receive_count=settings.attempts, queue=self.dead_letters),
        )
        events.Rule(
            self,
            "Rule",
            description=f"Objects that arrive below {settings.prefix} are classified",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [bucket.bucket_name]},
                    "object": {"key": [{"prefix": settings.prefix}]},
                },
            ),
            targets=[targets.SqsQueue(self.queue)],
        )
        # The alias: an operator who points it to an earlier version takes the arrivals along.
        alias.add_event_source(
            event_sources.SqsEventSource(
                self.queue,
                batch_size=settings.batch_items,
                max_batching_window=cdk.Duration.seconds(1) if settings.batch_items > 10 else None,
                max_concurrency=settings.max_concurrency,
                report_batch_item_failures=True,
            )
        )
        self.topic = self._topic(deployment, function.role) if settings.notify else None
        if self.topic is not None:
            function.function.add_environment("LOUPE_ON_UPLOAD_TOPIC_ARN", self.topic.topic_arn)

    def _queue(
        self,
        id: str,
        deployment: Deployment,
        visibility: cdk.Duration | None = None,
        dead_letters: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        key = deployment.encryption_key
        return sqs.Queue(
            self,
            id,
            encryption=sqs.QueueEncryption.SQS_MANAGED if key is None else sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=RETENTION,
            visibility_timeout=visibility,
            dead_letter_queue=dead_letters,
            removal_policy=deployment.removal_policy,
        )

    def _topic(self, deployment: Deployment, role: iam.IRole) -> sns.Topic:
        topic = sns.Topic(
            self,
            "Results",
            display_name=f"{deployment.name} classified uploads",
            master_key=deployment.encryption_key,
            enforce_ssl=True,
        )
        role.add_to_principal_policy(iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn]))
        if deployment.encryption_key is not None:
            # SNS developer guide, 'Key management': a publisher to an encrypted topic needs both.
            stack = cdk.Stack.of(self)
            role.add_to_principal_policy(
                iam.PolicyStatement(
                    actions=["kms:Decrypt", "kms:GenerateDataKey"],
                    resources=[deployment.encryption_key.key_arn],
                    conditions={"StringEquals": {"kms:ViaService": f"sns.{stack.region}.{stack.url_suffix}"}},
                )
            )
        return topic
