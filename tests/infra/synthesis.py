"""Environments of cdk.json, synthesized in this process."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from infra.app import build

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ("local", "dev", "staging", "prod")


def context() -> dict[str, Any]:
    return json.loads((ROOT / "cdk.json").read_text())["context"]


@dataclass(frozen=True)
class Synthesized:
    """A synthesized environment: its template as JSON, with the CDK's assertions."""

    name: str
    template: dict[str, Any]
    folder: Path

    @property
    def check(self) -> Template:
        return Template.from_json(self.template)

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Resources of a kind; the name of an alarm on a version of the function ends with ``-<version>``."""
        resources = self.template["Resources"].items()
        return {name: _named(resource) for name, resource in resources if resource["Type"] == kind}

    def of_endpoint(self, kind: str) -> dict[str, dict[str, Any]]:
        """Resources of a kind, without those of bulk jobs and releases."""
        others = ("Bulk", "Release")
        return {name: resource for name, resource in self.resources(kind).items() if not name.startswith(others)}

    def only(self, kind: str) -> dict[str, Any]:
        """The only resource of a kind, beside those of `test_bulk.py` and `test_gradual_release.py`."""
        (resource,) = self.of_endpoint(kind).values()
        return resource["Properties"]

    def only_of_release(self, kind: str) -> dict[str, Any]:
        """The only resource of a kind that belongs to releases."""
        (resource,) = (candidate for name, candidate in self.resources(kind).items() if name.startswith("Release"))
        return resource["Properties"]


def literal(name: Any) -> Any:
    """Return a name with the number of a version as text, other values as they are."""
    match name:
        case {"Fn::Join": ["", [str(text), {"Fn::GetAtt": [_, "Version"]}]]}:
            return f"{text}<version>"
    return name


def _named(resource: dict[str, Any]) -> dict[str, Any]:
    properties = resource.get("Properties", {})
    if not isinstance(properties.get("AlarmName"), dict):
        return resource
    return {**resource, "Properties": {**properties, "AlarmName": literal(properties["AlarmName"])}}


def synthesize(folder: Path, environment: str, patch: dict[str, Any] | None = None) -> Synthesized:
    values = {**context(), "env": environment}
    if patch is not None:
        values["settings"] = json.dumps(patch)
    app = cdk.App(context=values, outdir=str(folder), analytics_reporting=False)
    build(app)
    assembly = app.synth()
    (stack,) = assembly.stacks
    return Synthesized(environment, stack.template, folder)


def once(environment: str, factory: pytest.TempPathFactory, patch: dict[str, Any] | None = None) -> Synthesized:
    """Synthesize settings that several modules need, once for all processes of a test run."""
    base = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    key = hashlib.sha256(json.dumps([environment, patch or None], sort_keys=True).encode()).hexdigest()[:16]
    folder = base / "synthesized" / key
    template = folder.with_suffix(".json")
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            template.write_text(json.dumps(synthesize(folder, environment, patch).template))
    return Synthesized(environment, json.loads(template.read_text()), folder)
