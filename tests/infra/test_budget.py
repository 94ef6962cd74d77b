"""AWS Budgets: the costs that count, what is announced, and who may publish to the encrypted topic."""

from __future__ import annotations

from typing import Any

import pytest

from infra.settings import SettingsError, load_settings
from tests.infra.synthesis import Synthesized, context, synthesize


def _with(environment: str) -> Synthesized:
    """An environment with a budget: dev for the whole account, others for the stack."""
    scope = {"scope": "account"} if environment == "dev" else {}
    return synthesize(environment, {"alarms": {"budget": {"monthly_usd": 250, **scope}}})


@pytest.fixture(scope="module")
def budgeted() -> Synthesized:
    return _with("prod")


def test_costs_of_the_stack_are_compared_with_the_budget(budgeted: Synthesized) -> None:
    budget = budgeted.only("AWS::Budgets::Budget")["Budget"]
    assert budget == {
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": 250, "Unit": "USD"},
        "CostFilters": {"TagKeyValue": ["aws:cloudformation:stack-name$Loupe-prod"]},
    }


def test_the_budget_can_count_the_whole_account() -> None:
    assert "CostFilters" not in _with("dev").only("AWS::Budgets::Budget")["Budget"]


def test_actual_and_forecast_costs_are_announced_on_the_alarm_topic(budgeted: Synthesized) -> None:
    notifications = budgeted.only("AWS::Budgets::Budget")["NotificationsWithSubscribers"]
    assert {
        (item["Notification"]["NotificationType"], item["Notification"]["Threshold"]) for item in notifications
    } == {
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    }
    topic = {"Ref": next(iter(budgeted.resources("AWS::SNS::Topic")))}
    assert all(item["Subscribers"] == [{"SubscriptionType": "SNS", "Address": topic}] for item in notifications)


@pytest.mark.parametrize(
    ("kind", "key", "actions"),
    [
        ("AWS::SNS::TopicPolicy", "PolicyDocument", "sns:Publish"),
        ("AWS::KMS::Key", "KeyPolicy", ["kms:Decrypt", "kms:GenerateDataKey*"]),
    ],
)
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_budgets_of_this_account_may_publish_and_encrypt(environment: str, kind: str, key: str, actions: Any) -> None:
    template = _with(environment)
    statements = [
        statement
        for resource in template.resources(kind).values()
        for statement in resource["Properties"][key]["Statement"]
        if statement["Principal"] == {"Service": "budgets.amazonaws.com"}
    ]
    (statement,) = statements
    assert statement["Action"] == actions
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert "budgets::" in str(statement["Condition"]["ArnLike"]["aws:SourceArn"])


def test_the_budget_waits_for_the_permission_to_publish(budgeted: Synthesized) -> None:
    """AWS Budgets checks the topic when the budget is created."""
    ((_, budget),) = budgeted.resources("AWS::Budgets::Budget").items()
    assert set(budgeted.resources("AWS::SNS::TopicPolicy")) <= set(budget["DependsOn"])


def test_a_budget_has_no_fixed_name_because_other_notifications_replace_it(budgeted: Synthesized) -> None:
    assert "BudgetName" not in budgeted.only("AWS::Budgets::Budget")["Budget"]


@pytest.mark.parametrize("setting", ["budget", "composite", "saved_queries"])
def test_the_local_cloud_rejects_what_it_does_not_carry(setting: str) -> None:
    others = {"composite": False, "saved_queries": False}
    local = {**context()["environments"]["local"]}
    local["alarms"] = {**others, setting: {"monthly_usd": 5} if setting == "budget" else True}
    with pytest.raises(SettingsError, match=rf"alarms\.{setting} is not carried by the local cloud"):
        load_settings({"environments": {"local": local}}, "local")
