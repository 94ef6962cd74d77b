"""The CDK app in a process that stays (`warm_app`) writes and reports what the app of cdk.json does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.deploy import Deployer
from localcloud.errors import CloudError
from localcloud.settings import compose
from localcloud.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deployment import Deployed

# What is deployed and what the rules found. The others have stack traces and times.
COMPARED = (
    "Loupe-local.template.json",
    "Loupe-local.assets.json",
    "manifest.json",
    "tree.json",
    "validation-report.json",
)


def synthesize(deployed: Deployed, folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Documents of the assembly by name."""
    state = State(folder)
    state.prepare()
    Deployer(state, deployed.account).synth(settings).wait()
    return {name: json.loads((state.assembly / name).read_bytes()) for name in COMPARED}


def test_the_assembly_is_that_of_the_app_in_cdk_json(
    deployed: Deployed, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    warm = synthesize(deployed, tmp_path / "warm", deployed.settings)
    request.getfixturevalue("app_of_cdk_json")
    assert warm == synthesize(deployed, tmp_path / "cold", deployed.settings)


def test_settings_that_cannot_be_deployed_are_reported_as_by_the_app_in_cdk_json(
    deployed: Deployed, tmp_path: Path
) -> None:
    sentence = "environments.local.function.memory: there is no such key"
    with pytest.raises(CloudError, match=f"^The stack was not synthesized\\. {sentence}"):
        synthesize(deployed, tmp_path, compose(deployed.settings, {"function": {"memory": 1}}))
