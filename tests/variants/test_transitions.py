"""From any settings to any other in one deployment: nothing that is removed stays in force, and nothing collides.

`SETTINGS` are compared pairwise, as CloudFormation would update one stack: it keeps what a template no
longer sets unless the resource's handler resets it, and it creates before it deletes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
from transitions import (
    conflicts,
    disappearing,
    replaced,
    retained_with_a_fixed_name,
    update_permissions,
)

from infra.components.api import LONGEST_API_ARN, MAX_POLICY_CHARACTERS
from infra.notices import two_steps, warnings
from infra.settings import load_settings
from tests.infra.synthesis import ROOT, synthesize
from tests.infra.variants import LARGEST, MANY_CLIENTS, SETTINGS

# Properties that disappear, and why CloudFormation resets them: a permission that the update handler of the resource
# type asks for only to do that (the schemas that cfn-lint ships), and what says so besides.
RESET: Mapping[str, tuple[str, str]] = {
    "AWS::Lambda::Function.ReservedConcurrentExecutions": (
        "lambda:DeleteFunctionConcurrency", "Lambda API reference, DeleteFunctionConcurrency"
    ),
    "AWS::Lambda::Alias.ProvisionedConcurrencyConfig": (
        "lambda:DeleteProvisionedConcurrencyConfig", "Lambda API reference, DeleteProvisionedConcurrencyConfig"
    ),
    "AWS::Logs::LogGroup.KmsKeyId": (
        "logs:DisassociateKmsKey", "aws-cloudformation-resource-providers-logs, UpdateHandler.java: disassociateKmsKey"
    ),
    # The boundary itself denies this call: docs/delivery.md states the order.
    "AWS::IAM::Role.PermissionsBoundary": (
        "iam:DeleteRolePermissionsBoundary", "IAM API reference, DeleteRolePermissionsBoundary"
    ),
    # Without classify on upload. If it stayed, S3 would send events that no rule matches.
    "AWS::S3::Bucket.NotificationConfiguration": (
        "s3:PutBucketNotification", "S3 API reference, PutBucketNotificationConfiguration replaces the configuration"
    ),
    # The handler has no PATCH: it puts the method anew (API Gateway API reference, PutMethod).
    "AWS::ApiGateway::Method.AuthorizationScopes": ("apigateway:PUT", "PutMethod sets every attribute"),
    "AWS::ApiGateway::Method.AuthorizerId": ("apigateway:PUT", "PutMethod sets every attribute"),
}  # fmt: skip
# Properties that disappear and may stay in force: by way of another deployment only, which a note of the synth before
# tells. (name of the note, words of docs/environments.md)
TWO_STEPS: Mapping[str, tuple[str, str]] = {
    "AWS::ApiGateway::DomainName.MutualTlsAuthentication": ("mutual_tls", "Client certificates off"),
    "AWS::ApiGateway::UsagePlan.Quota": ("quota", "A client's quota off"),
    "AWS::ApiGateway::RestApi.EndpointConfiguration.VpcEndpointIds": ("private_endpoint", "From a private endpoint"),
}
PAGE = " ".join((ROOT / "docs" / "environments.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="session")
def templates() -> dict[str, dict[str, Any]]:
    """The template of each of the settings, by name."""
    return {name: synthesize("prod", patch, rule_packs=True).template for name, patch in SETTINGS.items()}


@pytest.fixture(scope="session")
def pairs(templates: dict[str, dict[str, Any]]) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    return [(one, other, templates[one], templates[other]) for one, other in permutations(templates, 2)]


def test_no_removed_setting_stays_in_force(pairs: Any) -> None:
    gone = {path: (one, other) for one, other, before, after in pairs for path in disappearing(before, after)}
    assert set(gone) == {*RESET, *TWO_STEPS}, gone


@pytest.mark.parametrize("path", RESET)
def test_cloudformation_resets_omitted_properties(path: str) -> None:
    permission, source = RESET[path]
    allowed = update_permissions(path.partition(".")[0])
    assert permission in allowed
    assert permission != "apigateway:PUT" or "apigateway:PATCH" not in allowed
    assert source


def test_new_resources_do_not_collide_with_old_ones(pairs: Any) -> None:
    collisions = {
        conflict: (one, other) for one, other, before, after in pairs for conflict in conflicts(before, after)
    }
    assert collisions == {}


def test_retained_resources_do_not_collide_when_a_setting_is_enabled_again(pairs: Any) -> None:
    retained = {name for _, _, before, after in pairs for name in retained_with_a_fixed_name(before, after)}
    # WAF writes only to groups whose names begin with aws-waf-logs-, so that this one cannot be left to CloudFormation.
    assert {name.partition(" ")[0] for name in retained} == {"AWS::Logs::LogGroup"}
    assert len(retained) == 1
    note = two_steps(load("bare", protection={"keep_data": True, "kms_key": "aws", "rule_packs": ["AwsSolutions"]}))
    assert "delete or import" in note["firewall"]
    assert "The firewall on again" in PAGE


def test_a_renamed_client_that_keeps_its_secret_takes_two_deployments() -> None:
    """API Gateway takes a key's value once, and CloudFormation makes the new key first."""
    secret = {"secret": "team/loupe-key"}
    before, after, without = (
        synthesize("dev", {"auth": {"clients": clients}}).template
        for clients in ({"app": {}, "a": secret}, {"app": {}, "b": secret}, {"app": {}})
    )
    assert any("AWS::ApiGateway::ApiKey" in conflict and "Value" in conflict for conflict in conflicts(before, after))
    assert not [*conflicts(before, without), *conflicts(without, after)]
    assert "A client renamed that has a `secret`" in PAGE
    assert "deploy once without the client" in two_steps(load("two clients"))["secrets"]


@pytest.mark.parametrize(("name", "note", "row"), [
    ("client certificates", *TWO_STEPS["AWS::ApiGateway::DomainName.MutualTlsAuthentication"]),
    ("one client", *TWO_STEPS["AWS::ApiGateway::UsagePlan.Quota"]),
    ("private", *TWO_STEPS["AWS::ApiGateway::RestApi.EndpointConfiguration.VpcEndpointIds"]),
    ("schedules", "scaling", "Scaling off"),
])  # fmt: skip
def test_settings_whose_removal_takes_two_deployments_have_a_note(name: str, note: str, row: str) -> None:
    assert "'Changing the settings of a deployed environment'" in two_steps(load(name))[note]
    assert row in PAGE
    assert note not in two_steps(load("prod"))


def test_the_environments_have_no_notices() -> None:
    for environment in ("local", "dev", "staging", "prod"):
        settings = load_settings(json.loads((ROOT / "cdk.json").read_text())["context"], environment)
        assert (two_steps(settings), warnings(settings)) == ({}, {}), environment


def test_usage_plans_below_the_stage_rate_cause_a_warning() -> None:
    warning = warnings(load("one client"))["plans"]
    assert "5 requests a second" in warning
    assert "api.rate_limit is 100" in warning
    assert warnings(load("two clients")) == {}


def test_arrivals_with_a_key_of_the_owner_cause_a_warning() -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    key = "arn:aws:kms:eu-central-1:111122223333:key/12345678-1234-1234-1234-123456789012"
    for enabled in (True, False):
        patch = {"protection": {"kms_key": key}, "bulk": {"on_upload": {"enabled": enabled}}, "region": "eu-central-1"}
        warned = warnings(load_settings(context, "prod", patch)).get("arrivals", "")
        assert ("events.amazonaws.com" in warned) == enabled


def test_every_stack_is_within_the_limits_of_cloudformation(templates: dict[str, dict[str, Any]]) -> None:
    """500 resources and 1 MB ("CloudFormation quotas"), 8,192 characters of resource policy."""
    largest = synthesize("prod", LARGEST)
    for name, template in {**templates, "largest": largest.template}.items():
        assert len(template["Resources"]) < 500, name
        assert len(json.dumps(template)) < 1024 * 1024, name
        (api,) = (r for r in template["Resources"].values() if r["Type"] == "AWS::ApiGateway::RestApi")
        policy = json.dumps(api["Properties"]["Policy"])
        assert len(policy.replace("execute-api:/", "a" * LONGEST_API_ARN)) < MAX_POLICY_CHARACTERS, name


def test_the_maximum_of_clients_fits_a_stack() -> None:
    with pytest.raises(ValueError, match="at most 65"):
        load("prod", auth={"clients": {**MANY_CLIENTS, "one-more": {}}})


class TestTheComparison:
    """It would find what it looks for."""

    @staticmethod
    def template(**resources: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            "Resources": {
                name: {"Type": kind, "Properties": properties} for name, (kind, properties) in resources.items()
            }
        }

    def test_an_omitted_policy_is_detected(self) -> None:
        before = self.template(Api=("AWS::ApiGateway::RestApi", {"Name": "a", "Policy": {"Statement": []}}))
        after = self.template(Api=("AWS::ApiGateway::RestApi", {"Name": "a"}))
        assert [*disappearing(before, after)] == ["AWS::ApiGateway::RestApi.Policy"]

    def test_an_omitted_part_of_a_property_is_detected(self) -> None:
        kind = "AWS::ApiGateway::RestApi"
        before = self.template(
            Api=(kind, {"EndpointConfiguration": {"Types": ["REGIONAL"], "IpAddressType": "dualstack"}})
        )
        after = self.template(Api=(kind, {"EndpointConfiguration": {"Types": ["REGIONAL"]}}))
        assert [*disappearing(before, after)] == [f"{kind}.EndpointConfiguration.IpAddressType"]

    def test_a_log_group_under_another_logical_id_is_a_conflict(self) -> None:
        kind = "AWS::Logs::LogGroup"
        before, after = (self.template(**{name: (kind, {"LogGroupName": "/a"})}) for name in ("One", "Other"))
        assert [*conflicts(before, after)] == [f"{kind} Other: LogGroupName of One"]
        assert [*conflicts(before, self.template(Other=(kind, {"LogGroupName": "/b"})))] == []

    def test_a_key_that_is_replaced_with_the_same_value_is_a_conflict(self) -> None:
        kind = "AWS::ApiGateway::ApiKey"
        before, after = (self.template(Key=(kind, {"Value": "v", "Name": name})) for name in ("a", "b"))
        assert [name for name, *_ in replaced(before, after)] == ["Key"]
        assert [*conflicts(before, after)] == [f"{kind} Key: Value of Key"]

    def test_a_replacement_propagates_to_referring_resources(self) -> None:
        key, plan_key = "AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlanKey"
        before, after = (
            self.template(Key=(key, {"Value": value}), Of=(plan_key, {"KeyId": {"Ref": "Key"}, "UsagePlanId": "p"}))
            for value in ("v", "w")
        )
        assert {name for name, *_ in replaced(before, after)} == {"Key", "Of"}

    def test_a_retained_resource_with_a_fixed_name_is_detected(self) -> None:
        group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/a"}, "DeletionPolicy": "Retain"}
        before: dict[str, Any] = {"Resources": {"Log": group}}
        assert [*retained_with_a_fixed_name(before, {"Resources": {}})] == ["AWS::Logs::LogGroup Log"]


def load(name: str, **changed: Any) -> Any:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return load_settings(context, "prod", {**SETTINGS[name], **changed})
