"""Your own CDK app with an endpoint of Loupe, an additional alarm and an additional route."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.components.classifier_endpoint import ClassifierEndpoint
from infra.settings import AlarmSettings, InputSettings, Settings

# The folder that `modelkit add` wrote: card.json and the files that it names.
MODEL = Path(__file__).parent / "models" / "hair-type"
# Sections and keys are those of docs/environments.md. The name begins every physical name: loupe-hair.
SETTINGS = Settings(
    environment="hair",
    inputs=InputSettings(max_batch=8),
    alarms=AlarmSettings(subscriptions=("on-call@example.com",)),
)
ABOUT = """
import json

def handler(event, context):
    body = json.dumps({"contact": "on-call@example.com"})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}
"""


class SalonStack(cdk.Stack):
    """The endpoint beside whatever else the app needs."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        endpoint = ClassifierEndpoint(self, "HairType", model=MODEL, settings=SETTINGS)
        requests = endpoint.api.deployment_stage.metric_count(period=cdk.Duration.hours(1))
        endpoint.monitoring.add_alarm(
            "ManyRequests", requests, 50_000, "More requests in an hour than the salons send in a day. Check the keys."
        )
        about = lambda_.Function(
            self,
            "About",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="index.handler",
            code=lambda_.Code.from_inline(ABOUT),
        )
        # The usage plans of the endpoint's clients hold for this route, too.
        endpoint.api.root.add_resource("about").add_method(
            "GET", apigateway.LambdaIntegration(about), api_key_required=True
        )
        for name, (value, description) in endpoint.outputs.items():
            cdk.CfnOutput(self, name, value=value, description=description)


app = cdk.App()
SalonStack(app, "Salon")
app.synth()
