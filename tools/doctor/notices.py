"""Checks of notifications and ownership: alarms, subscriptions of their topic, tags."""

from __future__ import annotations

from collections.abc import Iterator

from infra.settings import Settings
from tools.doctor.aws import Aws, CallError, is_missing_stack
from tools.doctor.findings import Finding, Level, ok, warning

ALARMS, TAGS = "alarms", "tags"
# The values that `prod` of cdk.json comes with.
PLACEHOLDER_TAGS = {"Owner": "platform", "CostCenter": "inference"}
_PENDING = "PendingConfirmation"


def is_production(settings: Settings) -> bool:
    """Whether an environment serves users: named prod, or protected against deletion."""
    name, protection = settings.environment, settings.protection
    return name == "prod" or name.startswith("prod-") or protection.keep_data or protection.termination_protection


def tags(settings: Settings) -> Iterator[Finding]:
    """Check that the tags are not those that cdk.json comes with."""
    placeholders = [f"{key}: {value}" for key, value in PLACEHOLDER_TAGS.items() if settings.tags.get(key) == value]
    if placeholders:
        yield warning(
            TAGS,
            f"tags still has what cdk.json came with: {', '.join(placeholders)}.",
            f"Set tags of environments.{settings.environment} to your team and cost center.",
        )
    elif settings.tags:
        yield ok(TAGS, "Tags: " + ", ".join(f"{key}: {value}" for key, value in settings.tags.items()) + ".")


def alarms(settings: Settings, aws: Aws | None) -> Iterator[Finding]:
    """Check that alarms have recipients. Without ``aws`` only the settings are known."""
    level = Level.error if is_production(settings) else Level.warning
    prefix = f"environments.{settings.environment}.alarms"
    if not settings.alarms.enabled:
        yield Finding(
            ALARMS, level, "Alarms are off: failures are not reported to anybody.", f"Set {prefix}.enabled to true."
        )
        return
    topic = None if aws is None else _topic(settings, aws)
    if aws is None or topic is None:
        if settings.alarms.subscriptions:
            yield ok(
                ALARMS,
                f"Alarms go to {', '.join(settings.alarms.subscriptions)}, once the address is confirmed by the "
                "e-mail that the first deployment sends.",
            )
        else:
            yield _no_recipients(level, prefix)
        return
    subscriptions = _subscriptions(aws, topic)
    confirmed = [endpoint for endpoint, arn in subscriptions if arn.startswith("arn:")]
    pending = [endpoint for endpoint, arn in subscriptions if arn == _PENDING]
    # An address that this deployment adds gets its e-mail by it.
    added = sorted(set(settings.alarms.subscriptions) - {endpoint for endpoint, _ in subscriptions})
    if not confirmed and not pending and not added:
        yield _no_recipients(level, prefix)
    elif not confirmed and pending:
        yield Finding(
            ALARMS,
            level,
            f"Nobody hears an alarm: {', '.join(pending)} has not confirmed the subscription.",
            "Open the link in the e-mail 'AWS Notification - Subscription Confirmation'. After three days the link "
            "is void: aws sns subscribe --protocol email --topic-arn "
            f"{topic} --notification-endpoint <address>",
        )
    elif pending:
        yield warning(
            ALARMS,
            f"{', '.join(pending)} has not confirmed the subscription to alarms.",
            "Open the link in the e-mail 'AWS Notification - Subscription Confirmation'.",
        )
    elif confirmed:
        yield ok(ALARMS, f"Alarms go to {', '.join(confirmed)}.")
    else:
        yield ok(ALARMS, f"Alarms go to {', '.join(added)}, once the address is confirmed by e-mail.")


def _no_recipients(level: Level, prefix: str) -> Finding:
    return Finding(
        ALARMS,
        level,
        "The alarm topic has no subscription: nobody would hear about a failure.",
        f'Name an address in cdk.json, such as "subscriptions": ["on-call@example.com"] in {prefix}, or subscribe '
        "something else to the topic AlarmTopicArn after the first deployment.",
    )


def _topic(settings: Settings, aws: Aws) -> str | None:
    """The topic of the deployed stack, or None before the first deployment."""
    try:
        response = aws.call("cloudformation", "describe_stacks", StackName=f"Loupe-{settings.environment}")
    except CallError as failure:
        if is_missing_stack(failure.code, failure.summary):
            return None
        raise
    outputs = response["Stacks"][0].get("Outputs", [])
    return next((str(item["OutputValue"]) for item in outputs if item["OutputKey"] == "AlarmTopicArn"), None)


def _subscriptions(aws: Aws, topic: str) -> list[tuple[str, str]]:
    return [
        (str(item["Endpoint"]), str(item["SubscriptionArn"]))
        for item in aws.pages("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    ]
