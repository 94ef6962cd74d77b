"""Texts of log events from CloudWatch Logs, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelkit.errors import ModelkitError
from modelkit.traffic.sources import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelkit.traffic.collection import Window

# Only these lines leave CloudWatch (CloudWatch Logs user guide, 'Filter pattern syntax', JSON).
REQUESTS = '{ ($.message = "request") || ($.message = "comparison") || ($.message = "comparison failed") }'
METRICS = "{ $._aws.Timestamp > 0 }"
# FilterLogEvents takes a few calls a second for all users of an account; botocore waits and repeats.
_ATTEMPTS = 10


def client(region: str | None, profile: str | None) -> Any:
    """Create boto3's client of CloudWatch Logs.

    Raises
    ------
    modelkit.errors.ModelkitError
        If boto3 is not installed, or there is no region or profile.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise ModelkitError(
            "--log-group needs boto3: install it (pip install boto3), or save the lines to a file with "
            "aws logs filter-log-events."
        ) from None
    try:
        session = boto3.Session(region_name=region, profile_name=profile)
        return session.client("logs", config=Config(retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"}))
    except BotoCoreError as error:
        raise ModelkitError(f"CloudWatch Logs: {error}") from None


def log_events(logs: Any, group: str, window: Window, *, metrics: bool = False) -> Iterator[Event]:
    """Yield a log group's events within a time, in the order in which CloudWatch returns them.

    Parameters
    ----------
    logs
        boto3's client.

    Raises
    ------
    modelkit.errors.ModelkitError
        If the group does not exist, may not be read, or AWS does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    arguments: dict[str, Any] = {"logGroupName": group, "filterPattern": METRICS if metrics else REQUESTS}
    if window.start is not None:
        arguments["startTime"] = int(window.start * 1000)
    if window.end is not None:
        arguments["endTime"] = int(window.end * 1000)
    number = 0
    try:
        for page in logs.get_paginator("filter_log_events").paginate(**arguments):
            for event in page.get("events", ()):
                number += 1
                yield Event(str(event.get("message", "")), f"{group}, event {number}")
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ResourceNotFoundException":
            raise ModelkitError(
                f"There is no log group {group} in this account and region: aws logs describe-log-groups lists them."
            ) from None
        if "AccessDenied" in code:
            raise ModelkitError(f"These credentials may not read {group}: they need logs:FilterLogEvents.") from None
        raise ModelkitError(f"{group}: CloudWatch Logs answered {code or 'an error'}.") from None
    except BotoCoreError as error:
        raise ModelkitError(f"{group}: {error}") from None
