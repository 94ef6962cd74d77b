"""AWS Budgets: messages about the costs of a month, actual and forecast, to the alarms' topic."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.settings.alarms import BudgetSettings

# Percent of the budget, and whether what was spent or what the month will cost is compared with it.
NOTIFICATIONS = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
_SERVICE = "budgets.amazonaws.com"


def add_budget(scope: Construct, *, settings: BudgetSettings | None, topic: sns.Topic) -> budgets.CfnBudget | None:
    """Add the budget, if the settings have one, and allow AWS Budgets to publish to the topic.

    It has no physical name: changed notifications replace it, and a new budget cannot have the name of an old one.
    """
    if settings is None:
        return None
    stack = cdk.Stack.of(scope)
    _allow_to_publish(topic)
    subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
    budget = budgets.CfnBudget(
        scope,
        "Budget",
        budget=budgets.CfnBudget.BudgetDataProperty(
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=budgets.CfnBudget.SpendProperty(amount=settings.monthly_usd, unit="USD"),
            # A tag that CloudFormation gives to what it creates, as Cost Explorer writes it: key$value.
            cost_filters={"TagKeyValue": [f"aws:cloudformation:stack-name${stack.stack_name}"]}
            if settings.scope == "stack"
            else None,
        ),
        notifications_with_subscribers=[
            budgets.CfnBudget.NotificationWithSubscribersProperty(
                notification=budgets.CfnBudget.NotificationProperty(
                    notification_type=kind,
                    comparison_operator="GREATER_THAN",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                ),
                subscribers=[subscriber],
            )
            for kind, percent in NOTIFICATIONS
        ],
    )
    # AWS Budgets checks at once whether it may publish.
    budget.node.add_dependency(topic)
    return budget


def _allow_to_publish(topic: sns.Topic) -> None:
    """Allow this account's budgets the topic and its key (AWS Cost Management user guide, 'SNS topic for budgets').

    A key that the settings name by its ARN keeps its own policy; docs/security.md has the statement.
    """
    conditions = {
        "StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID},
        "ArnLike": {"aws:SourceArn": f"arn:{cdk.Aws.PARTITION}:budgets::{cdk.Aws.ACCOUNT_ID}:*"},
    }
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="BudgetsOfThisAccount",
            principals=[iam.ServicePrincipal(_SERVICE)],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions=conditions,
        )
    )
    if isinstance(topic.master_key, kms.Key):
        topic.master_key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="BudgetsOfThisAccount",
                principals=[iam.ServicePrincipal(_SERVICE)],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions=conditions,
            )
        )
