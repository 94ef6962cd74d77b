"""Checks of template properties that the local cloud ignores and AWS requires at run time."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from infra.components import classifier_endpoint
from infra.contract import read_contract
from tests.infra.synthesis import ROOT, Synthesized, synthesize
from tests.infra.variants import OPTIONS


def _statements(synthesized: Synthesized, kind: str, key: str) -> list[dict[str, Any]]:
    return [
        statement
        for resource in synthesized.resources(kind).values()
        for statement in resource["Properties"][key]["Statement"]
    ]


def test_every_alarm_may_publish_to_its_topic(synthesized: Synthesized) -> None:
    """A topic policy replaces the default one, which lets the account's alarms in (SNS developer guide)."""
    topics = synthesized.resources("AWS::SNS::Topic")
    for alarm in synthesized.resources("AWS::CloudWatch::Alarm").values():
        for action in (*alarm["Properties"]["AlarmActions"], *alarm["Properties"]["OKActions"]):
            topic = action["Ref"]
            assert topic in topics
            (policy,) = [
                policy_resource["Properties"]
                for policy_resource in synthesized.resources("AWS::SNS::TopicPolicy").values()
                if {"Ref": topic} in policy_resource["Properties"]["Topics"]
            ]
            assert any(
                statement["Effect"] == "Allow"
                and statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
                and statement["Action"] == "sns:Publish"
                and statement["Resource"] == {"Ref": topic}
                for statement in policy["PolicyDocument"]["Statement"]
            )


def test_the_key_policy_allows_cloudwatch_of_this_account_only(synthesized: Synthesized) -> None:
    statements = [
        statement
        for kind, key in (("AWS::SNS::TopicPolicy", "PolicyDocument"), ("AWS::KMS::Key", "KeyPolicy"))
        for statement in _statements(synthesized, kind, key)
        if statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]
    assert len(statements) == 2
    for statement in statements:
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_stage_depends_on_the_accounts_log_role(prod: Synthesized) -> None:
    """Without it CreateStage fails: 'CloudWatch Logs role ARN must be set in account settings to enable logging'."""
    ((account, resource),) = prod.resources("AWS::ApiGateway::Account").items()
    role = resource["Properties"]["CloudWatchRoleArn"]["Fn::GetAtt"][0]
    assert "apigateway.amazonaws.com" in json.dumps(prod.template["Resources"][role]["Properties"])
    for stage in prod.resources("AWS::ApiGateway::Stage").values():
        assert account in stage["DependsOn"]
    # Other APIs of the account write their logs by it, too.
    assert resource["DeletionPolicy"] == "Retain"
    assert prod.template["Resources"][role]["DeletionPolicy"] == "Retain"


def test_no_log_role_is_created_if_the_account_has_one() -> None:
    synthesized = synthesize("dev", OPTIONS)
    assert not synthesized.resources("AWS::ApiGateway::Account")


def test_tls_begins_at_1_2(synthesized: Synthesized) -> None:
    """A regional endpoint's own default still takes 1.0 (API Gateway developer guide, security policies)."""
    api = synthesized.only("AWS::ApiGateway::RestApi")
    assert api["SecurityPolicy"].startswith("SecurityPolicy_TLS13_1_2_")
    assert api["EndpointAccessMode"] == "STRICT"  # must be set with every policy of this family


def test_resources_that_prod_retains_do_not_block_a_new_deployment(prod: Synthesized) -> None:
    """'Retain' would also hold back what a failed creation made: the next attempt finds the log group's name taken."""
    for group in prod.resources("AWS::Logs::LogGroup").values():
        assert group["DeletionPolicy"] == "RetainExceptOnCreate"


def test_only_the_deployed_stage_may_call_the_function(synthesized: Synthesized) -> None:
    ((stage_name, stage),) = synthesized.resources("AWS::ApiGateway::Stage").items()
    assert stage["Properties"]["StageName"] == "live"
    permissions = [item["Properties"] for item in synthesized.resources("AWS::Lambda::Permission").values()]
    rules = [{"Fn::GetAtt": [name, "Arn"]} for name in synthesized.resources("AWS::Events::Rule")]
    # Of the schedule of synthetic traffic.
    scheduled = [item for item in permissions if item["Principal"] == "events.amazonaws.com"]
    assert all(item["SourceArn"] in rules and "Traffic" in json.dumps(item) for item in scheduled)
    called = [item for item in permissions if item not in scheduled]
    assert called
    for permission in called:
        assert permission["Principal"] == "apigateway.amazonaws.com"
        source = json.dumps(permission["SourceArn"])
        assert "test-invoke-stage" not in source
        assert json.dumps({"Ref": stage_name}) in source
        # A path parameter, as in /v1/jobs/{job_id}, is a wildcard of its own segment only.
        assert "*" not in source.replace("/v1/jobs/*", "/v1/jobs/")


def test_open_routes_cannot_use_up_the_functions_concurrency(prod: Synthesized) -> None:
    throttles = {
        (setting["ResourcePath"], setting["HttpMethod"]): (
            setting.get("ThrottlingRateLimit"),
            setting.get("ThrottlingBurstLimit"),
        )
        for setting in prod.only("AWS::ApiGateway::Stage")["MethodSettings"]
    }
    everything = throttles.pop(("/*", "*"))
    assert everything == (100, 200)
    paths = ("/", "/~1v1~1health", "/~1openapi.json")
    assert throttles == {(path, method): (5, 6) for path in paths for method in ("GET", "HEAD")}


def test_preflights_have_the_throttle_of_open_routes() -> None:
    """They carry no credentials, and the stage's rate would let strangers run the function with them."""
    built = synthesize("prod", {"api": {"cors_origins": ["https://a.example"]}})
    throttles = {
        (entry["HttpMethod"], entry["ResourcePath"].replace("~1", "/")): entry["ThrottlingBurstLimit"]
        for entry in built.only("AWS::ApiGateway::Stage")["MethodSettings"]
        if entry["ThrottlingRateLimit"] == 5
    }
    open_methods = [
        method["Properties"]["HttpMethod"]
        for method in built.resources("AWS::ApiGateway::Method").values()
        if not method["Properties"]["ApiKeyRequired"]
    ]
    assert sorted(method for method, _ in throttles) == sorted(open_methods)
    assert {("OPTIONS", "//v1/classify"), ("OPTIONS", "//v1/uploads"), ("OPTIONS", "/")} <= set(throttles)
    # Cold, each request of a burst starts an execution environment: a quarter of the reserve stays for callers.
    assert sum(throttles.values()) <= 50 * 3 // 4


def test_another_gateway_response_is_another_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage serves the snapshot that was deployed."""
    before = synthesize("dev")
    contract = read_contract(ROOT / "docs" / "openapi.json")
    problems = {**contract.problems, "THROTTLED": {**contract.problems["THROTTLED"], "detail": "Slow down."}}
    monkeypatch.setattr(classifier_endpoint, "read_contract", lambda _: replace(contract, problems=problems))
    after = synthesize("dev", fresh=True)
    assert set(before.resources("AWS::ApiGateway::Deployment")) != set(after.resources("AWS::ApiGateway::Deployment"))


def test_a_changed_resource_policy_is_a_new_deployment() -> None:
    """A changed policy takes effect with a new deployment of the stage (aws-cdk issue 8024)."""
    callers = [{}, *({"iam": {"callers": [f"arn:aws:iam::210987654321:role/{name}"]}} for name in "ab")]
    deployments = set()
    for named in callers:
        built = synthesize("dev", {"auth": {"mode": "iam", **named}})
        deployments |= set(built.resources("AWS::ApiGateway::Deployment"))
    assert len(deployments) == len(callers)
