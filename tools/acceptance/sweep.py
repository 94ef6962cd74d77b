"""List the resources that a destroyed environment left in the account, and whether they are retained on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.acceptance.target import Target


_LOG_ROLE = "the account's log role of API Gateway, which other APIs of the region may use"
_PENDING = "pending deletion: KMS deletes keys after a waiting period"


@dataclass(frozen=True)
class Leftover:
    """A resource that still exists.

    Attributes
    ----------
    reason
        Why it stays on purpose; empty if it should be gone.
    """

    kind: str
    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({self.reason})" if self.reason else "")


def sweep(target: Target) -> list[Leftover]:
    """List resources with the environment's name, service by service."""
    name = target.environment
    return [
        *_stacks(target, f"Loupe-{name}"),
        *_functions(target, f"loupe-{name}"),
        *_gateway(target, name),
        *_roles(target, f"Loupe-{name}-"),
        *_log_groups(target, name),
        *_alarms(target, f"loupe-{name}-"),
        *_dashboards(target, f"loupe-{name}"),
        *_topics(target, f"Loupe-{name}-"),
        *_firewalls(target, f"loupe-{name}"),
        *_bulk(target, name),
        *_operations(target, name),
        *_parameters(target, f"/loupe-{name}/"),
        *_releases(target, f"Loupe-{name}-"),
        *_buckets(target, f"loupe-{name}-"),
        *_secrets(target, f"Loupe {name}:"),
        *_keys(target, f"loupe-{name}"),
    ]


def _pages(target: Target, service: str, operation: str, key: str, **options: Any) -> Iterator[Any]:
    client = target.client(service)
    if not client.can_paginate(operation):
        yield from getattr(client, operation)(**options).get(key, [])
        return
    for page in client.get_paginator(operation).paginate(**options):
        yield from page.get(key, [])


def _stacks(target: Target, name: str) -> Iterator[Leftover]:
    for stack in _pages(target, "cloudformation", "describe_stacks", "Stacks"):
        if stack["StackName"] == name and stack["StackStatus"] != "DELETE_COMPLETE":
            yield Leftover("stack", f"{name} ({stack['StackStatus']})")


def _functions(target: Target, prefix: str) -> Iterator[Leftover]:
    for function in _pages(target, "lambda", "list_functions", "Functions"):
        if function["FunctionName"].startswith(prefix):
            yield Leftover("function", function["FunctionName"])


def _gateway(target: Target, name: str) -> Iterator[Leftover]:
    for api in _pages(target, "apigateway", "get_rest_apis", "items"):
        if api["name"] == f"loupe-{name}":
            yield Leftover("REST API", api["id"])
    for plan in _pages(target, "apigateway", "get_usage_plans", "items"):
        if plan["name"].startswith(f"loupe-{name}-"):
            yield Leftover("usage plan", plan["name"])
    for key in _pages(target, "apigateway", "get_api_keys", "items"):
        if str(key.get("description", "")).startswith(f"Loupe {name}:"):
            yield Leftover("API key", key["id"])


def _roles(target: Target, prefix: str) -> Iterator[Leftover]:
    for role in _pages(target, "iam", "list_roles", "Roles"):
        if role["RoleName"].startswith(prefix):
            yield Leftover("role", role["RoleName"], _LOG_ROLE if "CloudWatchRole" in role["RoleName"] else "")


def _log_groups(target: Target, name: str) -> Iterator[Leftover]:
    for group in _pages(target, "logs", "describe_log_groups", "logGroups"):
        path = group["logGroupName"]
        if path.startswith((f"/aws/lambda/loupe-{name}", f"Loupe-{name}-", f"aws-waf-logs-loupe-{name}")):
            yield Leftover("log group", path)


def _alarms(target: Target, prefix: str) -> Iterator[Leftover]:
    for alarm in _pages(target, "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix):
        yield Leftover("alarm", alarm["AlarmName"])
    # Without AlarmTypes the answer has metric alarms only.
    options = {"AlarmNamePrefix": prefix, "AlarmTypes": ["CompositeAlarm"]}
    for alarm in _pages(target, "cloudwatch", "describe_alarms", "CompositeAlarms", **options):
        yield Leftover("alarm", alarm["AlarmName"])


def _dashboards(target: Target, name: str) -> Iterator[Leftover]:
    for board in _pages(target, "cloudwatch", "list_dashboards", "DashboardEntries", DashboardNamePrefix=name):
        yield Leftover("dashboard", board["DashboardName"])


def _firewalls(target: Target, name: str) -> Iterator[Leftover]:
    for firewall in _pages(target, "wafv2", "list_web_acls", "WebACLs", Scope="REGIONAL"):
        if firewall["Name"].startswith(name):
            yield Leftover("web ACL", firewall["Name"])


def _topics(target: Target, prefix: str) -> Iterator[Leftover]:
    for topic in _pages(target, "sns", "list_topics", "Topics"):
        name = topic["TopicArn"].rpartition(":")[2]
        if name.startswith(prefix):
            yield Leftover("topic", name)


def _bulk(target: Target, name: str) -> Iterator[Leftover]:
    for machine in _pages(target, "stepfunctions", "list_state_machines", "stateMachines"):
        if machine["name"].startswith(f"loupe-{name}-"):
            yield Leftover("state machine", machine["name"])
    for address in _pages(target, "sqs", "list_queues", "QueueUrls", QueueNamePrefix=f"Loupe-{name}-"):
        yield Leftover("queue", address.rpartition("/")[2])
    for rule in _pages(target, "events", "list_rules", "Rules", NamePrefix=f"Loupe-{name}-"):
        yield Leftover("event rule", rule["Name"])
    for mapping in _pages(target, "lambda", "list_event_source_mappings", "EventSourceMappings"):
        if f":function:loupe-{name}-" in mapping.get("FunctionArn", "") and mapping.get("State") != "Deleting":
            yield Leftover("event source mapping", mapping["UUID"])


def _operations(target: Target, name: str) -> Iterator[Leftover]:
    if "saved queries" in target.limits:
        return
    options = {"queryDefinitionNamePrefix": f"loupe-{name}/"}
    for query in _pages(target, "logs", "describe_query_definitions", "queryDefinitions", **options):
        yield Leftover("saved query", query["name"])


def _parameters(target: Target, prefix: str) -> Iterator[Leftover]:
    filters = [{"Key": "Name", "Option": "BeginsWith", "Values": [prefix]}]
    for parameter in _pages(target, "ssm", "describe_parameters", "Parameters", ParameterFilters=filters):
        yield Leftover("parameter", parameter["Name"])


def _releases(target: Target, prefix: str) -> Iterator[Leftover]:
    if "codedeploy" in target.limits:
        return
    for application in _pages(target, "codedeploy", "list_applications", "applications"):
        if application.startswith(prefix):
            yield Leftover("CodeDeploy application", application)


def _buckets(target: Target, prefix: str) -> Iterator[Leftover]:
    for bucket in target.client("s3").list_buckets()["Buckets"]:
        if bucket["Name"].startswith(prefix):
            yield Leftover("bucket", bucket["Name"])


def _secrets(target: Target, prefix: str) -> Iterator[Leftover]:
    for secret in _pages(target, "secretsmanager", "list_secrets", "SecretList"):
        if str(secret.get("Description", "")).startswith(prefix):
            yield Leftover("secret", secret["Name"], "scheduled for deletion" if "DeletedDate" in secret else "")


def _keys(target: Target, name: str) -> Iterator[Leftover]:
    client = target.client("kms")
    for entry in _pages(target, "kms", "list_aliases", "Aliases"):
        if entry["AliasName"] == f"alias/{name}":
            yield Leftover("key alias", entry["AliasName"])
    for entry in _pages(target, "kms", "list_keys", "Keys"):
        try:
            key = client.describe_key(KeyId=entry["KeyId"])["KeyMetadata"]
        except ClientError:
            # A key that this identity may not look at is not one that this suite made.
            continue
        if key.get("Description", "").startswith(f"{name}:"):
            reason = _PENDING if key["KeyState"] == "PendingDeletion" else ""
            yield Leftover("key", key["KeyId"], reason)
