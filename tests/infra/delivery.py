"""A delivery to three accounts, as cdk.json would state it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from infra.delivery_app import build
from tests.infra.synthesis import context

REGION = "eu-central-1"
ACCOUNTS = {"dev": "111111111111", "staging": "222222222222", "prod": "333333333333"}
REGISTRY = "999999999999"
GITHUB = {"repository": "octo-org/loupe", "repository_id": "456789", "owner_id": "123456"}


def delivered_context() -> dict[str, Any]:
    """The context of cdk.json with a delivery: an account for the registry, and one for each environment."""
    values = copy.deepcopy(context())
    for name, account in ACCOUNTS.items():
        values["environments"][name] |= {"account": account, "region": REGION}
    values["delivery"] = {"github": dict(GITHUB), "registry": {"account": REGISTRY, "region": REGION}}
    return values


def synthesize_delivery(folder: Path, values: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Templates of the delivery's app, by name of the stack."""
    app = cdk.App(context=values or delivered_context(), outdir=str(folder), analytics_reporting=False)
    build(app)
    return {stack.stack_name: json.loads(json.dumps(stack.template)) for stack in app.synth().stacks}


def of_kind(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == kind]
