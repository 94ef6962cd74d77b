"""The stack of one environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from constructs import Construct

from infra.components.classifier_endpoint import ClassifierEndpoint
from infra.settings import Settings


class InferenceStack(cdk.Stack):
    """One model as an HTTPS endpoint, with its outputs.

    Parameters
    ----------
    model
        Folder of the model.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, model: Path, **kwargs: Any) -> None:
        super().__init__(scope, id, **kwargs)
        # The id "Default" adds nothing to the logical IDs.
        self.endpoint = ClassifierEndpoint(self, "Default", model=model, settings=settings)
        card = self.endpoint.card
        self.template_options.description = (
            f"Loupe: {card.name} {card.version} as an HTTPS endpoint ({settings.environment})"
        )
        for name, (value, description) in self.endpoint.outputs.items():
            cdk.CfnOutput(self, name, value=value, description=description)
