"""Values that all components of a deployment share: name, key, removal policy, log retention and tracing."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.components.data_key import data_key
from infra.settings import Settings

_RETENTION_NAMES = {
    1: "ONE_DAY", 3: "THREE_DAYS", 5: "FIVE_DAYS", 7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 60: "TWO_MONTHS",
    90: "THREE_MONTHS", 120: "FOUR_MONTHS", 150: "FIVE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR",
    400: "THIRTEEN_MONTHS", 545: "EIGHTEEN_MONTHS", 731: "TWO_YEARS",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Values that the components of one environment share.

    Attributes
    ----------
    environment
        Name of the environment. Physical names begin with `name`, which is ``loupe-<environment>``.
    encryption_key
        For logs, uploads, API keys and alarm messages. None: keys that AWS owns.
    removal_policy
        Of everything that holds data.
    log_retention
        Of every log group.
    tracing
        Whether functions and the API send traces to X-Ray.
    """

    environment: str
    encryption_key: kms.IKey | None = None
    removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.DESTROY
    log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH
    tracing: bool = True

    @classmethod
    def create(cls, scope: Construct, settings: Settings) -> Deployment:
        """Return the deployment of an environment; its key, if it has one of its own, is added to the scope."""
        # With RETAIN_ON_UPDATE_OR_DELETE a stack whose creation failed leaves nothing behind, so that the next attempt
        # finds the names free.
        removal_policy = (
            cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.protection.keep_data else cdk.RemovalPolicy.DESTROY
        )
        return cls(
            environment=settings.environment,
            encryption_key=data_key(
                scope,
                environment=settings.environment,
                setting=settings.protection.kms_key,
                removal_policy=removal_policy,
            ),
            removal_policy=removal_policy,
            log_retention=retention(settings.function.log_retention_days),
            tracing=settings.function.tracing,
        )

    @property
    def name(self) -> str:
        """Beginning of every physical name."""
        return f"loupe-{self.environment}"

    def log_group(self, scope: Construct, id: str, *, name: str | None = None) -> logs.LogGroup:
        """Add a log group with the deployment's key, retention and removal policy."""
        return logs.LogGroup(
            scope,
            id,
            log_group_name=name,
            encryption_key=self.encryption_key,
            retention=self.log_retention,
            removal_policy=self.removal_policy,
        )

    @property
    def function_tracing(self) -> lambda_.Tracing:
        """Lambda's name of `tracing`."""
        return lambda_.Tracing.ACTIVE if self.tracing else lambda_.Tracing.DISABLED


def retention(days: int) -> logs.RetentionDays:
    """Return the CDK's value for a retention in days."""
    return logs.RetentionDays[_RETENTION_NAMES[days]]
