"""Network access to the API: denied addresses, a private endpoint, a custom domain with its DNS records."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings.network import DomainSettings, NetworkSettings


def api_options(scope: Construct, settings: NetworkSettings) -> dict[str, Any]:
    """Return options of the REST API: its endpoint, and whether it keeps its own address.

    Every option is written, defaults too: CloudFormation may keep the last value of an omitted property.
    """
    closed = settings.domain is not None and not settings.domain.keep_default_endpoint
    options: dict[str, Any] = {"disable_execute_api_endpoint": closed}
    if settings.private_endpoint is None:
        addresses = apigateway.IpAddressType.DUAL_STACK if settings.ipv6 else apigateway.IpAddressType.IPV4
        endpoint = apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL], ip_address_type=addresses)
        return {**options, "endpoint_configuration": endpoint}
    endpoints = [
        ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(
            scope, f"VpcEndpoint{number}", port=443, vpc_endpoint_id=endpoint_id
        )
        for number, endpoint_id in enumerate(settings.private_endpoint.vpc_endpoint_ids)
    ]
    endpoint = apigateway.EndpointConfiguration(
        types=[apigateway.EndpointType.PRIVATE],
        vpc_endpoints=endpoints,
        # The only type of private APIs ("IP address types for REST APIs").
        ip_address_type=apigateway.IpAddressType.DUAL_STACK,
    )
    return {**options, "endpoint_configuration": endpoint}


def deny_others(api: apigateway.RestApi, settings: NetworkSettings) -> None:
    """Deny other addresses and endpoints in the API's resource policy; `auth` decides about the remaining clients."""
    conditions: list[dict[str, Any]] = []
    if settings.private_endpoint is not None:
        conditions.append({"StringNotEquals": {"aws:SourceVpce": list(settings.private_endpoint.vpc_endpoint_ids)}})
    if settings.allowed_cidrs:
        key = "aws:SourceIp" if settings.private_endpoint is None else "aws:VpcSourceIp"
        conditions.append({"NotIpAddress": {key: list(settings.allowed_cidrs)}})
    for condition in conditions:
        api.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=["execute-api:Invoke"],
                principals=[iam.AnyPrincipal()],
                resources=["execute-api:/*"],
                conditions=condition,
            )
        )


class Domain(Construct):
    """A regional domain name for the API's stage, with DNS records where the zone is given.

    Attributes
    ----------
    url
        With a slash at its end, without a stage.
    target
        Target of the DNS record, where the zone is managed elsewhere.
    """

    def __init__(self, scope: Construct, id: str, *, settings: DomainSettings, stage: apigateway.Stage) -> None:
        super().__init__(scope, id)
        tls = settings.mutual_tls
        domain = apigateway.DomainName(
            self,
            "Name",
            domain_name=settings.name,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", settings.certificate_arn),
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
            mtls=None
            if tls is None
            else apigateway.MTLSConfig(
                bucket=s3.Bucket.from_bucket_name(self, "Truststore", tls.bucket), key=tls.key, version=tls.version
            ),
        )
        domain.add_base_path_mapping(stage.rest_api, stage=stage)
        resource = domain.node.default_child
        assert isinstance(resource, apigateway.CfnDomainName)  # noqa: S101
        resource.add_property_override("EndpointConfiguration.IpAddressType", "dualstack")
        self.url = f"https://{settings.name}/"
        self.target = domain.domain_name_alias_domain_name
        if settings.hosted_zone_id is not None:
            zone = route53.HostedZone.from_hosted_zone_attributes(
                self, "Zone", hosted_zone_id=settings.hosted_zone_id, zone_name=settings.hosted_zone_name or ""
            )
            alias = route53.RecordTarget.from_alias(targets.ApiGatewayDomain(domain))
            # The final dot makes the name absolute.
            route53.ARecord(self, "Ipv4", zone=zone, record_name=f"{settings.name}.", target=alias)
            route53.AaaaRecord(self, "Ipv6", zone=zone, record_name=f"{settings.name}.", target=alias)


def add_domain(scope: Construct, *, settings: DomainSettings | None, stage: apigateway.Stage) -> Domain | None:
    """Add the custom domain, if the settings have one."""
    return None if settings is None else Domain(scope, "Domain", settings=settings, stage=stage)
