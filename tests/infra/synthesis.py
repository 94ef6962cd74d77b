"""Environments of cdk.json, synthesized in this process."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from infra.app import add_stack, build

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
# Where `synthesize` writes; a conftest.py sets `shared_folder`.
cache: Path | None = None


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


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return one folder for all processes of a test run."""
    base = factory.getbasetemp()
    # Under pytest-xdist, each process has a folder in that of the test run.
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "synthesized"
    folder.mkdir(exist_ok=True)
    return folder


def synthesize(
    environment: str, patch: Mapping[str, Any] | None = None, *, rule_packs: bool = False, fresh: bool = False
) -> Synthesized:
    """Synthesize an environment with settings over it, once for all processes of a test run.

    The rule packs of cdk-nag and the CDK's template rules check the environments themselves, and others with
    ``rule_packs``; they take a third of the time. ``fresh`` is for tests that change the code.
    """
    assert cache is not None, "a conftest.py sets synthesis.cache"
    rule_packs = rule_packs or not patch
    if fresh:
        return synthesize_into(Path(tempfile.mkdtemp(dir=cache)), environment, patch, rule_packs=rule_packs)
    key = hashlib.sha256(json.dumps([environment, patch or None, rule_packs], sort_keys=True).encode()).hexdigest()[:16]
    folder = cache / key
    template = folder.with_suffix(".json")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            template.write_text(
                json.dumps(synthesize_into(folder, environment, patch, rule_packs=rule_packs).template),
                encoding="utf-8",
            )
    return Synthesized(environment, json.loads(template.read_text(encoding="utf-8")), folder)


def synthesize_into(
    folder: Path, environment: str, patch: Mapping[str, Any] | None = None, *, rule_packs: bool
) -> Synthesized:
    """Synthesize an environment with settings over it into a folder."""
    values = {**context(), "env": environment}
    if patch is not None:
        values["settings"] = json.dumps(patch)
    app = cdk.App(
        context=values,
        outdir=str(folder),
        analytics_reporting=False,
        builtin_cloud_formation_validation=rule_packs,
    )
    (build if rule_packs else add_stack)(app)
    (stack,) = app.synth().stacks
    return Synthesized(environment, stack.template, folder)
