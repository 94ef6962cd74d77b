"""The firewall lets images pass and nothing else that it should not: its rules, walked as WAF walks them."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import botocore.loaders
import pytest

from infra.contract import read_contract
from infra.settings import SettingsError, load_settings
from infra.settings.firewall import COUNTRIES
from tests.infra.synthesis import ROOT, Synthesized, context, synthesize
from tests.infra.variants import AUTH_MODES

MB = 1_000_000
FIREWALL = {"firewall": {"requests_per_address": 90_000, "requests_per_key": 30_200, "blocked_countries": ["AQ"]}}
# "AWS managed rule groups list" and "Setting the capacity" of the WAF developer guide: capacity units by group,
# and of the statements that stand here.
CAPACITY = {
    "AWSManagedRulesCommonRuleSet": 700,
    "AWSManagedRulesKnownBadInputsRuleSet": 200,
    "AWSManagedRulesAmazonIpReputationList": 25,
}
PREFIX = {
    "AWSManagedRulesCommonRuleSet": "awswaf:managed:aws:core-rule-set:",
    "AWSManagedRulesKnownBadInputsRuleSet": "awswaf:managed:aws:known-bad-inputs:",
}


IMAGE_PATHS = read_contract(ROOT / "docs" / "openapi.json").image_paths


@dataclass
class Request:
    """A request, as far as a rule inspects it."""

    path: str = "/live/v1/classify"
    body: bytes = b""
    country: str = "DE"
    address: str = "203.0.113.5"
    recent: int = 0
    key: str | None = "some-key"
    labels: set[str] = field(default_factory=set)


def managed(group: str, request: Request) -> list[tuple[str, str]]:
    """Rules of a managed group that match, with their labels: of each group, some that match images or attacks."""
    if group == "AWSManagedRulesCommonRuleSet":
        rules = {
            "SizeRestrictions_BODY": (len(request.body) > 8 * 1024, "SizeRestrictions_Body"),
            "CrossSiteScripting_BODY": (b"<script>" in request.body[: 16 * 1024], "CrossSiteScripting_Body"),
            "EC2MetaDataSSRF_BODY": (b"169.254.169.254" in request.body[: 16 * 1024], "EC2MetaDataSSRF_Body"),
            "RestrictedExtensions_URIPATH": (request.path.endswith(".bak"), "RestrictedExtensions_URIPath"),
        }
    elif group == "AWSManagedRulesKnownBadInputsRuleSet":
        rules = {
            "Log4JRCE_BODY": (b"${jndi:" in request.body[: 16 * 1024], "Log4JRCE_Body"),
            "ExploitablePaths_URIPATH": (request.path.endswith("/.git/config"), "ExploitablePaths_URIPath"),
        }
    else:
        return []
    return [(rule, PREFIX[group] + label) for rule, (matches, label) in rules.items() if matches]


def verdict(properties: dict[str, Any], request: Request) -> str:
    """``Allow``, or the name of the rule that blocks."""
    request = replace(request, labels=set())
    for rule in sorted(properties["Rules"], key=itemgetter("Priority")):
        statement = rule["Statement"]
        if "ManagedRuleGroupStatement" in statement:
            assert rule["OverrideAction"] == {"None": {}}
            group = statement["ManagedRuleGroupStatement"]
            overrides = {override["Name"]: override["ActionToUse"] for override in group.get("RuleActionOverrides", [])}
            for name, label in managed(group["Name"], request):
                request.labels.add(label)
                if overrides.get(name, {"Block": {}}) == {"Block": {}}:
                    return f"{rule['Name']}/{name}"
        elif matches(statement, request):
            (action,) = rule["Action"]
            return "Allow" if action == "Allow" else rule["Name"]
    assert properties["DefaultAction"] == {"Allow": {}}
    return "Allow"


def matches(statement: dict[str, Any], request: Request) -> bool:
    ((kind, content),) = statement.items()
    if kind == "AndStatement":
        return all(matches(part, request) for part in content["Statements"])
    if kind == "OrStatement":
        return any(matches(part, request) for part in content["Statements"])
    if kind == "NotStatement":
        return not matches(content["Statement"], request)
    if kind == "LabelMatchStatement":
        return content["Key"] in request.labels
    if kind == "GeoMatchStatement":
        return request.country in content["CountryCodes"]
    if kind == "ByteMatchStatement":
        assert content["FieldToMatch"] == {"UriPath": {}}
        assert content["PositionalConstraint"] == "ENDS_WITH"
        return request.path.endswith(content["SearchString"])
    if kind == "RateBasedStatement":
        counted = content["AggregateKeyType"] == "IP" or request.key is not None
        return counted and request.recent > content["Limit"]
    raise AssertionError(f"the test does not know {kind}")


@pytest.fixture(scope="module")
def web_acl(prod: Synthesized) -> dict[str, Any]:
    return prod.only("AWS::WAFv2::WebACL")


@pytest.mark.parametrize("stage", ["/live", ""])
@pytest.mark.parametrize("path", IMAGE_PATHS)
def test_an_image_of_3_mb_passes_with_any_content(web_acl: dict[str, Any], stage: str, path: str) -> None:
    for start in (b"\xff\xd8", b"<script>", b"${jndi:ldap", b'{"url": "http://169.254.169.254"}'):
        request = Request(path=stage + path, body=start.ljust(3 * MB, b"\0"))
        assert verdict(web_acl, request) == "Allow"


def test_without_the_overrides_every_image_would_be_blocked(web_acl: dict[str, Any]) -> None:
    """AWS's rules without overrides reject images, which is why they are overridden."""
    bare = copy.deepcopy(web_acl)
    for rule in bare["Rules"]:
        rule["Statement"].get("ManagedRuleGroupStatement", {}).pop("RuleActionOverrides", None)
    assert verdict(bare, Request(body=b"\xff\xd8".ljust(9 * 1024, b"\0"))) == "Common/SizeRestrictions_BODY"


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        (Request(path="/live/v1/uploads", body=b"\0" * 3 * MB), "BodiesElsewhere"),
        (Request(path="/live/v1/uploads", body=b'{"a": "<script>"}'), "BodiesElsewhere"),
        (Request(path="/live/v1/health", body=b"${jndi:ldap://x}"), "BodiesElsewhere"),
        (Request(path="/live/v1/uploads", body=b"{}"), "Allow"),
        (Request(path="/live/v1/health"), "Allow"),
        (Request(path="/live/.git/config"), "KnownBadInputs/ExploitablePaths_URIPATH"),
        (Request(path="/live/v1/classify.bak", body=b"\xff\xd8"), "Common/RestrictedExtensions_URIPATH"),
        # The default client's plan lets 100 a second through for 300 seconds, and a burst of 200: twice that.
        (Request(recent=60_400), "Allow"),
        (Request(recent=60_401), "RateByAddress"),
    ],
)
def test_other_bodies_are_inspected_by_all_rules(web_acl: dict[str, Any], request_: Request, rule: str) -> None:
    assert verdict(web_acl, request_) == rule


def test_a_key_has_its_own_rate() -> None:
    built = synthesize("prod", FIREWALL)
    acl = built.only("AWS::WAFv2::WebACL")
    assert verdict(acl, Request(recent=30_200)) == "Allow"
    assert verdict(acl, Request(recent=30_201)) == "RateByKey"
    assert verdict(acl, Request(recent=30_201, key=None)) == "Allow"
    (rate,) = (rule["Statement"]["RateBasedStatement"] for rule in acl["Rules"] if rule["Name"] == "RateByKey")
    assert [key["Header"]["Name"] for key in rate["CustomKeys"]] == ["x-api-key"]
    assert rate["EvaluationWindowSec"] == 300


def test_without_api_keys_there_is_no_rate_per_key() -> None:
    built = synthesize("prod", AUTH_MODES["iam"])
    assert "RateByKey" not in [rule["Name"] for rule in built.only("AWS::WAFv2::WebACL")["Rules"]]


def test_countries_and_networks() -> None:
    built = synthesize("prod",
        {"firewall": {
            "allowed_countries": ["DE", "FR"], "trusted_networks": ["198.51.100.0/24", "2001:db8::/32"],
            "blocked_networks": ["192.0.2.7/32"],
        }},
    )  # fmt: skip
    acl = built.only("AWS::WAFv2::WebACL")
    names = [rule["Name"] for rule in sorted(acl["Rules"], key=itemgetter("Priority"))]
    assert names[:4] == ["BlockedNetworks4", "TrustedNetworks4", "TrustedNetworks6", "Countries"]
    actions = {rule["Name"]: rule.get("Action") for rule in acl["Rules"]}
    assert actions["BlockedNetworks4"] == {"Block": {}}
    assert actions["TrustedNetworks6"] == {"Allow": {}}
    sets = {
        ip_set["Properties"]["Name"]: (ip_set["Properties"]["IPAddressVersion"], ip_set["Properties"]["Addresses"])
        for ip_set in built.resources("AWS::WAFv2::IPSet").values()
    }
    assert sets == {
        "loupe-prod-BlockedNetworks4": ("IPV4", ["192.0.2.7/32"]),
        "loupe-prod-TrustedNetworks4": ("IPV4", ["198.51.100.0/24"]),
        "loupe-prod-TrustedNetworks6": ("IPV6", ["2001:db8::/32"]),
    }
    without_sets = {
        "DefaultAction": acl["DefaultAction"],
        "Rules": [r for r in acl["Rules"] if "Networks" not in r["Name"]],
    }
    assert verdict(without_sets, Request(country="FR")) == "Allow"
    assert verdict(without_sets, Request(country="US")) == "Countries"
    assert sum(units(rule["Statement"]) for rule in acl["Rules"]) <= 1_500


def test_blocked_countries() -> None:
    built = synthesize("prod", FIREWALL)
    acl = built.only("AWS::WAFv2::WebACL")
    assert verdict(acl, Request(country="AQ")) == "Countries"
    assert verdict(acl, Request(country="DE")) == "Allow"


def test_the_web_acl_is_associated_with_the_stage(prod: Synthesized) -> None:
    association = prod.only("AWS::WAFv2::WebACLAssociation")
    (stage,) = prod.resources("AWS::ApiGateway::Stage")
    assert {"Ref": stage} in association["ResourceArn"]["Fn::Join"][1]
    (acl,) = prod.resources("AWS::WAFv2::WebACL")
    assert association["WebACLArn"] == {"Fn::GetAtt": [acl, "Arn"]}


def test_the_web_acl_capacity_stays_below_the_extra_charge(web_acl: dict[str, Any]) -> None:
    assert sum(units(rule["Statement"]) for rule in web_acl["Rules"]) <= 1_500


def units(statement: dict[str, Any]) -> int:
    """Capacity of a statement: "Using match rule statements", and 10 for each text transformation, whatever it is."""
    ((kind, content),) = statement.items()
    if kind == "ManagedRuleGroupStatement":
        return CAPACITY[content["Name"]]
    if kind in ("AndStatement", "OrStatement"):
        return sum(map(units, content["Statements"]))
    if kind == "NotStatement":
        return units(content["Statement"])
    if kind == "RateBasedStatement":
        keys = [key["Header"] for key in content.get("CustomKeys", [])]
        return 2 + sum(30 + 10 * len(key["TextTransformations"]) for key in keys)
    if kind == "ByteMatchStatement":
        return 2 + 10 * len(content["TextTransformations"])
    assert kind in ("LabelMatchStatement", "IPSetReferenceStatement", "GeoMatchStatement"), kind
    return 1


def test_keys_tokens_and_queries_stay_out_of_its_log(prod: Synthesized) -> None:
    logging = prod.only("AWS::WAFv2::LoggingConfiguration")
    redacted = logging["RedactedFields"]
    assert {redaction["SingleHeader"]["Name"] for redaction in redacted if "SingleHeader" in redaction} == {
        "x-api-key", "authorization", "cookie",
    }  # fmt: skip
    assert {"QueryString": {}} in redacted
    # The log also holds the key that a rate rule aggregates by; it is protected separately.
    acl = prod.only("AWS::WAFv2::WebACL")
    (protected,) = acl["DataProtectionConfig"]["DataProtections"]
    assert protected["Action"] == "HASH"
    assert "ExcludeRateBasedDetails" not in protected
    assert protected["Field"]["FieldType"] == "SINGLE_HEADER"
    counted_by = [
        key["Header"]["Name"]
        for rule in acl["Rules"]
        for key in rule["Statement"].get("RateBasedStatement", {}).get("CustomKeys", [])
    ]
    assert counted_by
    assert set(counted_by) <= set(protected["Field"]["FieldKeys"])
    assert logging["LoggingFilter"]["DefaultBehavior"] == "DROP"
    (destination,) = logging["LogDestinationConfigs"]
    assert destination["Fn::Join"][1][-1] == ":log-group:aws-waf-logs-loupe-prod"
    groups = [log_group["Properties"] for log_group in prod.resources("AWS::Logs::LogGroup").values()]
    (group,) = (candidate for candidate in groups if candidate.get("LogGroupName") == "aws-waf-logs-loupe-prod")
    assert group["RetentionInDays"] == 180
    for rule in web_acl_rules(prod):
        assert rule["VisibilityConfig"]["CloudWatchMetricsEnabled"] is True
        assert rule["VisibilityConfig"]["SampledRequestsEnabled"] is False


def web_acl_rules(built: Synthesized) -> list[dict[str, Any]]:
    return built.only("AWS::WAFv2::WebACL")["Rules"]


def test_every_path_with_a_body_is_an_image_path_or_listed() -> None:
    """A new path with a body is blocked above 8 KB: it is an image path, or is listed here."""
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    bodies = {
        path for path, methods in paths.items() if any("requestBody" in operation for operation in methods.values())
    }
    # Those of several models are added with the models' names (`Contract.with_models`).
    contract = read_contract(ROOT / "docs" / "openapi.json")
    named = {route.path for route in (*contract.model_routes, *contract.model_job_routes)}
    assert bodies - set(IMAGE_PATHS) - named == {"/v1/uploads", "/v1/jobs"}
    assert set(IMAGE_PATHS) <= bodies


def test_country_codes_are_those_of_waf() -> None:
    model = botocore.loaders.Loader().load_service_model("wafv2", "service-2")
    assert set(model["shapes"]["CountryCode"]["enum"]) == COUNTRIES


@pytest.mark.parametrize(("environment", "patch"), [
    ("prod", {}),
    ("staging", {}),
    ("prod", {"auth": {"clients": {"bulk": {"rate": 40.5, "burst": 100}, "small": {}}}}),
    ("prod", {"firewall": {"window_seconds": 60}}),
])  # fmt: skip
def test_no_client_is_blocked_within_its_plan(environment: str, patch: dict[str, Any]) -> None:
    settings = load_settings(context(), environment, patch)
    built = synthesize(environment, patch)
    rates = [
        rule["Statement"]["RateBasedStatement"]
        for rule in web_acl_rules(built)
        if "RateBasedStatement" in rule["Statement"]
    ]
    assert len(rates) == 2
    for rate in rates:
        for client in settings.clients.values():
            assert rate["Limit"] > client.rate * rate["EvaluationWindowSec"] + client.burst


def test_disabling_the_firewall_of_prod_requires_dropping_the_nist_rule_pack() -> None:
    off = {"firewall": {"enabled": False}, "protection": {"rule_packs": ["AwsSolutions"]}}
    assert not load_settings(context(), "prod", off).firewall.enabled


def test_dev_has_no_firewall() -> None:
    assert synthesize("dev").resources("AWS::WAFv2::WebACL") == {}


@pytest.mark.parametrize(
    ("environment", "patch", "sentence"),
    [
        ("local", {"enabled": True}, "firewall.enabled is not carried by the local cloud"),
        ("dev", {"requests_per_address": 100}, "requests_per_address belongs to a firewall that is enabled"),
        ("prod", {"requests_per_address": 9}, "firewall.requests_per_address: .*greater than or equal to 10"),
        ("prod", {"window_seconds": 90}, "firewall.window_seconds: .*60, 120, 300 or 600"),
        ("prod", {"allowed_countries": ["DE"], "blocked_countries": ["FR"]}, "exclude each other"),
        ("prod", {"allowed_countries": ["Germany"]}, r"allowed_countries.0: must be a country's two letters"),
        ("prod", {"blocked_countries": ["UK"]}, r"blocked_countries.0: .*such as DE or GB \(it is 'UK'\)"),
        (
            "prod",
            {"requests_per_key": 30_199},
            r"requests_per_key \(30199\) would block client 'default' within its plan.* make it 30200 or more",
        ),
        ("prod", {"blocked_networks": ["10.0.0.1/8"]}, r"blocked_networks.0: must be a network.*has host bits set"),
        ("prod", {"trusted_networks": ["0.0.0.0/0"]}, r"trusted_networks.0: 0.0.0.0/0 is every address"),
    ],
)
def test_invalid_firewall_settings_are_rejected_with_a_message(
    environment: str, patch: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings(context(), environment, {"firewall": patch})


def test_a_rate_for_keys_needs_keys() -> None:
    with pytest.raises(SettingsError, match=r"firewall\.requests_per_key belongs to auth.mode 'api-key'"):
        load_settings(context(), "prod", {"auth": {"mode": "iam"}, "firewall": {"requests_per_key": 100}})
