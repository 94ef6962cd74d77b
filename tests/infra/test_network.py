"""Network access to the API: addresses, a private endpoint, a custom domain, client certificates."""

from __future__ import annotations

from typing import Any

import pytest

from infra.settings import SettingsError, load_settings
from tests.infra.synthesis import Synthesized, context, synthesize

CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/0d1c2b3a-0000-4000-8000-000000000000"
ZONE = {"hosted_zone_id": "Z0123456789ABC", "hosted_zone_name": "example.com"}
DOMAIN = {"name": "images.example.com", "certificate_arn": CERTIFICATE}
TLS = {"truststore": "s3://certificates/authorities.pem", "version": "v1"}
ENDPOINT = "vpce-0123456789abcdef0"
CIDRS = ["198.51.100.0/24", "2001:db8::/32"]
SHOP = {"cors_origins": ["https://shop.example"]}
WITHOUT_ZONE = {"domain": {**DOMAIN, "keep_default_endpoint": True}}


def built(network: dict[str, Any], **patch: Any) -> Synthesized:
    return synthesize("prod", {"network": network, **patch})


def policy(stack: Synthesized) -> list[dict[str, Any]]:
    return stack.only("AWS::ApiGateway::RestApi")["Policy"]["Statement"]


def test_by_default_the_api_is_public_without_a_custom_domain(prod: Synthesized) -> None:
    api = prod.only("AWS::ApiGateway::RestApi")
    (allow,) = policy(prod)
    assert (allow["Effect"], allow["Principal"], allow["Resource"]) == ("Allow", {"AWS": "*"}, "execute-api:/*")
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"], "IpAddressType": "ipv4"}
    assert api["DisableExecuteApiEndpoint"] is False
    assert prod.resources("AWS::ApiGateway::DomainName") == {}


def test_other_addresses_are_denied_and_allowed_ones_are_authorized() -> None:
    stack = built({"allowed_cidrs": CIDRS})
    # One of them is of IPv6, which an endpoint does not have unless asked for.
    assert stack.only("AWS::ApiGateway::RestApi")["EndpointConfiguration"]["IpAddressType"] == "dualstack"
    allow, deny = policy(stack)
    assert (allow["Effect"], allow["Principal"], allow["Resource"]) == ("Allow", {"AWS": "*"}, "execute-api:/*")
    assert "Condition" not in allow
    assert (deny["Effect"], deny["Principal"], deny["Resource"]) == ("Deny", {"AWS": "*"}, "execute-api:/*")
    assert deny["Condition"] == {"NotIpAddress": {"aws:SourceIp": CIDRS}}


def test_in_mode_iam_only_open_routes_allow_all_principals() -> None:
    """A statement that named everybody for all routes would let in any AWS identity, of any account."""
    stack = built({"allowed_cidrs": CIDRS}, auth={"mode": "iam"})
    everybody, deny = policy(stack)
    assert everybody["Principal"] == {"AWS": "*"}
    assert min(everybody["Resource"]).startswith("execute-api:/live/GET/")
    assert not [resource for resource in everybody["Resource"] if "classify" in resource or resource.endswith("*")]
    assert deny["Effect"] == "Deny"


def test_a_private_api_accepts_its_vpc_endpoints_only() -> None:
    stack = built({"private_endpoint": {"vpc_endpoint_ids": [ENDPOINT]}, "allowed_cidrs": ["10.1.0.0/16"]})
    api = stack.only("AWS::ApiGateway::RestApi")
    assert api["EndpointConfiguration"] == {
        "Types": ["PRIVATE"], "IpAddressType": "dualstack", "VpcEndpointIds": [ENDPOINT],
    }  # fmt: skip
    # With STRICT the endpoints' own names would be rejected.
    assert api["EndpointAccessMode"] == "BASIC"
    (allow,) = (statement for statement in policy(stack) if statement["Effect"] == "Allow")
    assert (allow["Principal"], allow["Resource"]) == ({"AWS": "*"}, "execute-api:/*")
    conditions = [statement["Condition"] for statement in policy(stack) if statement["Effect"] == "Deny"]
    assert conditions == [
        {"StringNotEquals": {"aws:SourceVpce": [ENDPOINT]}},
        {"NotIpAddress": {"aws:VpcSourceIp": ["10.1.0.0/16"]}},
    ]


def test_a_domain_is_the_only_address_and_has_its_records() -> None:
    stack = built({"domain": {**DOMAIN, **ZONE}})
    domain = stack.only("AWS::ApiGateway::DomainName")
    assert domain["DomainName"] == "images.example.com"
    assert domain["RegionalCertificateArn"] == CERTIFICATE
    assert domain["SecurityPolicy"] == "TLS_1_2"
    assert domain["EndpointConfiguration"] == {"Types": ["REGIONAL"], "IpAddressType": "dualstack"}
    assert "MutualTlsAuthentication" not in domain
    assert stack.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True
    (stage,) = stack.resources("AWS::ApiGateway::Stage")
    assert stack.only("AWS::ApiGateway::BasePathMapping")["Stage"] == {"Ref": stage}
    records = [record["Properties"] for record in stack.resources("AWS::Route53::RecordSet").values()]
    assert {(record["Name"], record["Type"], record["HostedZoneId"]) for record in records} == {
        ("images.example.com.", "A", ZONE["hosted_zone_id"]),
        ("images.example.com.", "AAAA", ZONE["hosted_zone_id"]),
    }
    assert stack.template["Outputs"]["Url"]["Value"] == "https://images.example.com/"


def test_without_a_zone_the_record_target_is_an_output() -> None:
    stack = built(WITHOUT_ZONE, api=SHOP)
    assert stack.resources("AWS::Route53::RecordSet") == {}
    (domain,) = stack.resources("AWS::ApiGateway::DomainName")
    assert stack.template["Outputs"]["DomainTarget"]["Value"] == {"Fn::GetAtt": [domain, "RegionalDomainName"]}
    assert stack.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is False


def test_mutual_tls_disables_the_default_endpoint() -> None:
    stack = built({"domain": {**DOMAIN, "mutual_tls": TLS}})
    assert stack.only("AWS::ApiGateway::DomainName")["MutualTlsAuthentication"] == {
        "TruststoreUri": "s3://certificates/authorities.pem", "TruststoreVersion": "v1",
    }  # fmt: skip
    assert stack.only("AWS::ApiGateway::RestApi")["DisableExecuteApiEndpoint"] is True


def test_the_page_on_the_domain_may_upload() -> None:
    stack = built(WITHOUT_ZONE, api=SHOP)
    (rule,) = stack.only("AWS::S3::Bucket")["CorsConfiguration"]["CorsRules"]
    assert {"https://shop.example", "https://images.example.com"} <= {str(origin) for origin in rule["AllowedOrigins"]}


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ({"private_endpoint": {"vpc_endpoint_ids": [ENDPOINT]}, "domain": DOMAIN}, "exclude each other"),
        ({"private_endpoint": {"vpc_endpoint_ids": []}}, r"vpc_endpoint_ids: .*at least 1"),
        ({"private_endpoint": {"vpc_endpoint_ids": ["vpc-1"]}}, r"vpc_endpoint_ids.0: must be an endpoint's ID"),
        ({"allowed_cidrs": ["198.51.100.7/24"]}, r"allowed_cidrs.0: must be a network.*has host bits set"),
        ({"allowed_cidrs": ["10.0.0.0/8", "10.1.0.0/16"]}, "which overlap; the larger one is enough"),
        ({"domain": {"name": "images.example.com"}}, r"network.domain.certificate_arn: "),
        ({"domain": {**DOMAIN, "name": "Pictures"}}, r"network.domain.name: must be a domain name in small letters"),
        ({"domain": {**DOMAIN, "certificate_arn": "arn:x"}}, r"certificate_arn: must be the ARN of a certificate"),
        ({"domain": {**DOMAIN, "hosted_zone_id": "Z1"}}, "hosted_zone_id and hosted_zone_name belong together"),
        ({"domain": {**DOMAIN, **ZONE, "hosted_zone_name": "other.com"}}, "is not in the zone other.com"),
        ({"domain": {**DOMAIN, **ZONE, "hosted_zone_name": "ample.com"}}, "is not in the zone ample.com"),
        (
            {"domain": {**DOMAIN, "mutual_tls": {"truststore": "https://x/y.pem"}}},
            r"truststore: must be a PEM file on S3",
        ),
        ({"domain": {**DOMAIN, "mutual_tls": TLS, "keep_default_endpoint": True}}, "a way around mutual_tls"),
    ],
)
def test_invalid_combinations_are_rejected_with_a_message(network: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings(context(), "prod", {"network": network})


def test_a_certificate_of_another_region_is_rejected() -> None:
    patch = {"region": "eu-west-1", "network": {"domain": DOMAIN}}
    with pytest.raises(SettingsError, match="certificate_arn is in eu-central-1, and the environment in eu-west-1"):
        load_settings(context(), "prod", patch)


@pytest.mark.parametrize("key", ["allowed_cidrs", "domain"])
def test_the_local_cloud_rejects_unsupported_settings(key: str) -> None:
    values: dict[str, Any] = {"allowed_cidrs": CIDRS, "domain": DOMAIN}
    with pytest.raises(SettingsError, match=rf"network\.{key} is not carried by the local cloud"):
        load_settings(context(), "local", {"network": {key: values[key]}})


def test_addresses_in_a_vpc_have_no_country() -> None:
    patch = {
        "network": {"private_endpoint": {"vpc_endpoint_ids": [ENDPOINT]}},
        "firewall": {"enabled": True, "allowed_countries": ["DE"]},
    }
    with pytest.raises(SettingsError, match="addresses in a VPC have none"):
        load_settings(context(), "prod", patch)


@pytest.mark.parametrize(
    "patch",
    [
        {"network": {"allowed_cidrs": [f"10.{high}.{low}.0/32" for high in range(8) for low in range(0, 256, 2)]}},
        {"auth": {"mode": "iam", "iam": {"callers": [f"arn:aws:iam::210987654321:role/r{n:04}" for n in range(220)]}}},
    ],
    ids=["addresses", "callers"],
)
def test_a_resource_policy_that_api_gateway_would_reject_ends_the_synth(patch: dict[str, Any]) -> None:
    with pytest.raises(
        SettingsError, match=r"environments\.prod: the API's resource policy would have [\d,]+ characters"
    ):
        synthesize("prod", patch)
