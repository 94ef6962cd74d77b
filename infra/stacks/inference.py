"""The endpoint: function, API, monitoring."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from infra.cards import ModelCard
from infra.components.acknowledge import acknowledge
from infra.components.api import ClassifierApi
from infra.components.auth import ApiAuth
from infra.components.classifier_function import ClassifierFunction
from infra.components.firewall import Firewall
from infra.components.jwt_authorizer import JwtAuthorizer
from infra.components.monitoring import Monitoring
from infra.components.network import Domain
from infra.components.scaling import scale
from infra.components.tracing import sampling_rule
from infra.contract import read_contract
from infra.deployment import Deployment
from infra.notices import add_notices
from infra.paths import PROJECT_ROOT
from infra.settings import Settings
from infra.throttles import open_burst


class InferenceStack(cdk.Stack):
    """One model as an HTTPS endpoint."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings, card: ModelCard, **kwargs: Any) -> None:
        super().__init__(scope, id, **kwargs)
        deployment = Deployment.create(self, settings)
        contract = read_contract(PROJECT_ROOT / "docs" / "openapi.json")
        provisioned = settings.scaling.provisioned
        classifier = ClassifierFunction(
            self,
            "Classifier",
            deployment=deployment,
            model=PROJECT_ROOT / "models" / card.name,
            image=settings.image,
            function=settings.function,
            inputs=settings.inputs,
            cors_origins=settings.api.cors_origins,
            domain=settings.network.domain.name if settings.network.domain else None,
            provisioned=provisioned.min if provisioned else None,
        )
        scale(classifier.alias, settings.scaling)
        authorizer = (
            JwtAuthorizer(
                self,
                "Authorizer",
                deployment=deployment,
                settings=settings.auth.jwt,
                function=settings.function,
            ).authorizer
            if settings.auth.jwt
            else None
        )
        auth = ApiAuth(
            self,
            "Callers",
            deployment=deployment,
            settings=settings.auth,
            clients=settings.clients,
            authorizer=authorizer,
        )
        api = ClassifierApi(
            self,
            "Api",
            deployment=deployment,
            target=classifier.alias,
            settings=settings.api,
            auth=auth,
            network=settings.network,
            open_burst=open_burst(settings, contract),
            timeout=classifier.timeout,
            contract=contract,
        )
        if settings.function.trace_sampling is not None:
            sampling_rule(
                self,
                deployment=deployment,
                stage=settings.api.stage,
                settings=settings.function.trace_sampling,
            )
        if settings.firewall.enabled:
            Firewall(
                self,
                "Firewall",
                deployment=deployment,
                settings=settings.firewall,
                stage=api.api.deployment_stage,
                picture_paths=contract.picture_paths,
                clients=settings.clients,
            )
        else:
            acknowledge(
                api.api.deployment_stage,
                "AwsSolutions-APIG3",
                "firewall.enabled is off: stage and usage plans throttle, and reserved concurrency caps the cost.",
            )
        monitoring = Monitoring(
            self,
            "Monitoring",
            deployment=deployment,
            model=card.name,
            function=classifier.function,
            timeout=classifier.timeout,
            reserved_concurrency=settings.function.reserved_concurrency,
            provisioned=classifier.alias if provisioned else None,
            api=api.api,
            settings=settings.alarms,
        )
        url = api.url
        if settings.network.domain is not None:
            domain = Domain(self, "Domain", settings=settings.network.domain, stage=api.api.deployment_stage)
            url = domain.url
            cdk.CfnOutput(self, "DomainTarget", value=domain.target, description="What the domain's record points to")
        cdk.CfnOutput(self, "Url", value=url, description="Where the routes begin")
        cdk.CfnOutput(self, "FunctionName", value=classifier.function.function_name)
        cdk.CfnOutput(self, "FunctionAlias", value=classifier.alias.function_arn, description="What the API calls")
        cdk.CfnOutput(self, "AlarmTopicArn", value=monitoring.topic.topic_arn)
        add_notices(self, settings)
        for name, (value, description) in auth.outputs.items():
            cdk.CfnOutput(self, name, value=value, description=description)
