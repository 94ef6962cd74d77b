"""Work beside requests: bulk jobs, uploads that wait, dead letters; and what the month costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.operations.stack import Stack
from tools.operations.target import Target
from tools.status.items import Item, State

_MAX_JOBS = 100


def jobs(target: Target, stack: Stack) -> Iterator[Item]:
    """Report the bulk jobs that run."""
    for machine in stack.physical("AWS::StepFunctions::StateMachine"):
        response = target.aws.call(
            "stepfunctions", "list_executions", stateMachineArn=machine, statusFilter="RUNNING", maxResults=_MAX_JOBS
        )
        running = [str(item["name"]) for item in response["executions"]]
        more = "or more " if response.get("nextToken") else ""
        text = f"{len(running)} {more}running" + (f": {', '.join(running[:3])}" if running else "")
        yield Item("jobs", State.ok, f"{text}{' ...' if len(running) > 3 else ''}", values={"running": running})


def queues(target: Target, stack: Stack) -> Iterator[Item]:
    """Report the depth of the upload queue, and dead letters: objects that were never classified."""
    for url in stack.physical("AWS::SQS::Queue"):
        response = target.aws.call(
            "sqs",
            "get_queue_attributes",
            QueueUrl=url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )
        attributes = response.get("Attributes", {})
        waiting = int(attributes.get("ApproximateNumberOfMessages", 0))
        working = int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0))
        values = {"queue": url.rpartition("/")[2], "waiting": waiting, "in_work": working}
        if url not in stack.physical("AWS::SQS::Queue", "DeadLetters"):
            yield Item("uploads", State.ok, f"{waiting:,} wait, {working:,} in work", values=values)
        elif waiting:
            text = f"{waiting:,} in {values['queue']}"
            yield Item("dead letters", State.wrong, text, "docs/runbook.md#arrivalsdeadletters", values)
        else:
            yield Item("dead letters", State.ok, "none", values=values)


def cost(target: Target, stack: Stack) -> Iterator[Item]:
    """Report what the month has cost so far, where the stack has a budget. AWS updates it a few times a day."""
    for name in stack.physical("AWS::Budgets::Budget"):
        account = target.aws.call("sts", "get_caller_identity")["Account"]
        budget: dict[str, Any] = target.aws.call("budgets", "describe_budget", AccountId=account, BudgetName=name)[
            "Budget"
        ]
        limit = float(budget["BudgetLimit"]["Amount"])
        spend = budget.get("CalculatedSpend") or {}
        actual = float((spend.get("ActualSpend") or {}).get("Amount", 0))
        forecast = (spend.get("ForecastedSpend") or {}).get("Amount")
        text = f"US$ {actual:,.2f} of {limit:,.2f} this month"
        text += f", forecast {float(forecast):,.2f}" if forecast else ", no forecast yet"
        values = {"budget": name, "actual_usd": actual, "limit_usd": limit, "forecast_usd": forecast}
        above = actual > limit
        action = "docs/runbook.md#budget" if above or float(forecast or 0) > limit else ""
        yield Item("cost", State.wrong if above else State.note if action else State.ok, text, action, values)
