"""AWS WAF in front of the API's stage: managed rules that let images pass, rate limits, countries, networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.components.dashboard import DashboardSection, graph
from infra.components.monitoring import Monitoring
from infra.deployment import Deployment
from infra.settings.auth import ClientPlan
from infra.settings.firewall import FirewallSettings

# Rules that inspect bodies, by managed rule group, with the labels that they add to matching requests ("Baseline rule
# groups" in the WAF developer guide). An image exceeds their size limit, and its bytes may match by chance.
BODY_RULES = {
    "AWSManagedRulesKnownBadInputsRuleSet": {
        rule: f"awswaf:managed:aws:known-bad-inputs:{rule.removesuffix('_BODY')}_Body"
        for rule in ("JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY")
    },
    "AWSManagedRulesCommonRuleSet": {
        rule: f"awswaf:managed:aws:core-rule-set:{rule.removesuffix('_BODY')}_Body"
        for rule in (
            "SizeRestrictions_BODY", "EC2MetaDataSSRF_BODY", "GenericLFI_BODY", "GenericRFI_BODY",
            "CrossSiteScripting_BODY",
        )
    },
}  # fmt: skip
_REPUTATION = "AWSManagedRulesAmazonIpReputationList"
_KEY_HEADER = "x-api-key"
_NOT_LOGGED = (_KEY_HEADER, "authorization", "cookie")
_AS_IT_IS = wafv2.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")


class Firewall(Construct):
    """Web ACL, its association with a stage, and its log of blocked requests.

    Parameters
    ----------
    image_paths
        Ends of the paths whose bodies are images: there the managed body rules only count.
    clients
        Clients with API keys and their plans; without any there is no rate limit per key.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: FirewallSettings,
        stage: apigateway.Stage,
        image_paths: Sequence[str],
        clients: Mapping[str, ClientPlan],
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._settings = deployment, settings
        self._rules: list[wafv2.CfnWebACL.RuleProperty] = []
        self._add_networks()
        self._add_countries()
        self._add_managed(_REPUTATION, {})
        self._add_rates(clients)
        for group, rules in BODY_RULES.items():
            self._add_managed(group, rules)
        self._add_bodies_elsewhere(image_paths)
        self.web_acl = wafv2.CfnWebACL(
            self,
            "WebAcl",
            name=deployment.name,
            description="In front of the API: images pass, attacks and floods do not",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            rules=self._rules,
            # The dimension of its metrics: the name, so that both readings of the metric's documentation agree.
            visibility_config=self._visible(deployment.name),
            # The log contains the values that a rate limit aggregates by, which redacted_fields does not cover.
            data_protection_config=wafv2.CfnWebACL.DataProtectionConfigProperty(
                data_protections=[
                    wafv2.CfnWebACL.DataProtectProperty(
                        action="HASH",
                        field=wafv2.CfnWebACL.FieldToProtectProperty(
                            field_type="SINGLE_HEADER", field_keys=list(_NOT_LOGGED)
                        ),
                    )
                ]
            ),
        )
        wafv2.CfnWebACLAssociation(self, "Association", resource_arn=stage.stage_arn, web_acl_arn=self.web_acl.attr_arn)
        self._log()

    def monitor(self, monitoring: Monitoring) -> None:
        """Add the alarm and the graph of blocked requests ('AWS WAF metrics and dimensions', WAF developer guide)."""
        blocked = cloudwatch.Metric(
            namespace="AWS/WAFV2",
            metric_name="BlockedRequests",
            dimensions_map={"WebACL": self._deployment.name, "Region": cdk.Aws.REGION, "Rule": "ALL"},
            statistic="Sum",
            period=monitoring.period,
        )
        monitoring.add_graphs(DashboardSection.up, graph("Blocked by the firewall", [blocked]))
        monitoring.add_alarm(
            "FirewallBlocks",
            blocked,
            monitoring.settings.firewall_blocks,
            "The firewall blocks many requests: an attack, or a client above its rate. Its log names rule and address.",
        )

    def _add_networks(self) -> None:
        block, allow = wafv2.CfnWebACL.RuleActionProperty(block={}), wafv2.CfnWebACL.RuleActionProperty(allow={})
        for name, networks, action in (
            ("BlockedNetworks", self._settings.blocked_networks, block),
            ("TrustedNetworks", self._settings.trusted_networks, allow),
        ):
            for version in (4, 6):
                addresses = [network for network in networks if ipaddress.ip_network(network).version == version]
                if addresses:
                    ip_set = wafv2.CfnIPSet(
                        self,
                        f"{name}{version}",
                        name=f"{self._deployment.name}-{name}{version}",
                        scope="REGIONAL",
                        ip_address_version=f"IPV{version}",
                        addresses=addresses,
                    )
                    reference = wafv2.CfnWebACL.IPSetReferenceStatementProperty(arn=ip_set.attr_arn)
                    self._add(f"{name}{version}", action=action, ip_set_reference_statement=reference)

    def _add_countries(self) -> None:
        def match(countries: Sequence[str]) -> wafv2.CfnWebACL.GeoMatchStatementProperty:
            return wafv2.CfnWebACL.GeoMatchStatementProperty(country_codes=list(countries))

        if self._settings.blocked_countries:
            self._add("Countries", geo_match_statement=match(self._settings.blocked_countries))
        elif self._settings.allowed_countries:
            inside = wafv2.CfnWebACL.StatementProperty(geo_match_statement=match(self._settings.allowed_countries))
            self._add("Countries", not_statement=wafv2.CfnWebACL.NotStatementProperty(statement=inside))

    def _add_rates(self, clients: Mapping[str, ClientPlan]) -> None:
        settings = self._settings
        default = settings.default_limit(clients)
        self._add(
            "RateByAddress",
            rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                limit=settings.requests_per_address or default,
                evaluation_window_sec=settings.window_seconds,
                aggregate_key_type="IP",
            ),
        )
        if clients:
            header = wafv2.CfnWebACL.RateLimitHeaderProperty(name=_KEY_HEADER, text_transformations=[_AS_IT_IS])
            self._add(
                "RateByKey",
                rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                    limit=settings.requests_per_key or default,
                    evaluation_window_sec=settings.window_seconds,
                    aggregate_key_type="CUSTOM_KEYS",
                    custom_keys=[wafv2.CfnWebACL.RateBasedStatementCustomKeyProperty(header=header)],
                ),
            )

    def _add_managed(self, group: str, counted: dict[str, str]) -> None:
        count = wafv2.CfnWebACL.RuleActionProperty(count={})
        statement = wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
            vendor_name="AWS",
            name=group,
            rule_action_overrides=[
                wafv2.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count) for rule in counted
            ]
            or None,
        )
        name = group.removeprefix("AWSManagedRules").removesuffix("RuleSet")
        self._rules.append(
            wafv2.CfnWebACL.RuleProperty(
                name=name,
                priority=len(self._rules),
                override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
                statement=wafv2.CfnWebACL.StatementProperty(managed_rule_group_statement=statement),
                visibility_config=self._visible(f"{self._deployment.name}-{name}"),
            )
        )

    def _add_bodies_elsewhere(self, image_paths: Sequence[str]) -> None:
        """Block requests that the counted rules have labelled, on paths whose bodies are not images."""
        statement = wafv2.CfnWebACL.StatementProperty
        labelled = [
            statement(label_match_statement=wafv2.CfnWebACL.LabelMatchStatementProperty(scope="LABEL", key=label))
            for rules in BODY_RULES.values()
            for label in rules.values()
        ]
        # ENDS_WITH: the path that WAF sees begins with the stage, except behind a custom domain.
        image_path_matches = [
            statement(
                byte_match_statement=wafv2.CfnWebACL.ByteMatchStatementProperty(
                    field_to_match=wafv2.CfnWebACL.FieldToMatchProperty(uri_path={}),
                    positional_constraint="ENDS_WITH",
                    search_string=path,
                    text_transformations=[_AS_IT_IS],
                )
            )
            for path in image_paths
        ]
        to_image_paths = statement(or_statement=wafv2.CfnWebACL.OrStatementProperty(statements=image_path_matches))
        elsewhere = statement(not_statement=wafv2.CfnWebACL.NotStatementProperty(statement=to_image_paths))
        of_a_body = statement(or_statement=wafv2.CfnWebACL.OrStatementProperty(statements=labelled))
        self._add(
            "BodiesElsewhere",
            and_statement=wafv2.CfnWebACL.AndStatementProperty(statements=[of_a_body, elsewhere]),
        )

    def _add(self, name: str, *, action: wafv2.CfnWebACL.RuleActionProperty | None = None, **statement: Any) -> None:
        self._rules.append(
            wafv2.CfnWebACL.RuleProperty(
                name=name,
                priority=len(self._rules),
                action=action or wafv2.CfnWebACL.RuleActionProperty(block={}),
                statement=wafv2.CfnWebACL.StatementProperty(**statement),
                visibility_config=self._visible(f"{self._deployment.name}-{name}"),
            )
        )

    def _visible(self, metric: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
        return wafv2.CfnWebACL.VisibilityConfigProperty(
            cloud_watch_metrics_enabled=True,
            metric_name=metric,
            # Samples contain headers, keys among them, and are visible to everybody with access to the console.
            sampled_requests_enabled=False,
        )

    def _log(self) -> None:
        stack = cdk.Stack.of(self)
        # WAF writes only to log groups with this prefix.
        name = f"aws-waf-logs-{self._deployment.name}"
        group = self._deployment.log_group(self, "Log", name=name)
        blocked = {"ActionCondition": {"Action": "BLOCK"}}
        configuration = wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.web_acl.attr_arn,
            # Without the ":*" at the end of the log group's ARN.
            log_destination_configs=[
                stack.format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=name,
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                )
            ],
            redacted_fields=[
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": header})
                for header in _NOT_LOGGED
            ]
            + [wafv2.CfnLoggingConfiguration.FieldToMatchProperty(query_string={})],
            # Allowed requests are in the API's access log.
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [{"Behavior": "KEEP", "Requirement": "MEETS_ANY", "Conditions": [blocked]}],
            },
        )
        configuration.node.add_dependency(group)


def add_firewall(
    scope: Construct,
    *,
    deployment: Deployment,
    settings: FirewallSettings,
    stage: apigateway.Stage,
    image_paths: Sequence[str],
    clients: Mapping[str, ClientPlan],
) -> Firewall | None:
    """Add the firewall, or the reason why a stage has none."""
    if settings.enabled:
        return Firewall(
            scope,
            "Firewall",
            deployment=deployment,
            settings=settings,
            stage=stage,
            image_paths=image_paths,
            clients=clients,
        )
    acknowledge(
        stage,
        "AwsSolutions-APIG3",
        "firewall.enabled is off: stage and usage plans throttle, and reserved concurrency caps the cost.",
    )
    return None
