"""The last test: what was deployed can be deleted, to the last log group."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployment import Deployed


def test_destroy_removes_every_resource(deployed: Deployed) -> None:
    deployed.deployer.destroy().wait()
    stacks = deployed.client("cloudformation").list_stacks()["StackSummaries"]
    assert {s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"} <= {"CDKToolkit"}
    assert deployed.client("lambda").list_functions()["Functions"] == []
    gateway = deployed.client("apigateway")
    assert gateway.get_rest_apis()["items"] == []
    assert gateway.get_api_keys()["items"] == []
    assert gateway.get_usage_plans()["items"] == []
    assert deployed.client("secretsmanager").list_secrets()["SecretList"] == []
    assert deployed.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert deployed.client("sns").list_topics()["Topics"] == []
    assert deployed.client("logs").describe_log_groups()["logGroups"] == []
    roles = deployed.client("iam").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles if role["RoleName"].startswith("Loupe-")] == []
