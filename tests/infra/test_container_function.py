"""One component for every function: entry points of one image, log group, role, acknowledgements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_logs as logs
from aws_cdk.assertions import Template

from infra.components.classifier_function import ClassifierFunction
from infra.components.container_function import ContainerFunction
from infra.components.container_image import EcrImage
from infra.deployment import Deployment
from infra.settings import FunctionSettings, ImageSettings, InputSettings
from infra.sources import Sources
from tests.infra.synthesis import ROOT

DEPLOYMENT = Deployment(environment="dev", log_retention=logs.RetentionDays.ONE_WEEK, tracing=False)


@pytest.fixture(autouse=True)
def _without_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_VALIDATION", "false")


def stack() -> cdk.Stack:
    return cdk.Stack(cdk.App(analytics_reporting=False), "Stack")


def functions(stack: cdk.Stack) -> dict[str, dict[str, Any]]:
    resources = Template.from_stack(stack).find_resources("AWS::Lambda::Function")
    return {resource["Properties"]["FunctionName"]: resource["Properties"] for resource in resources.values()}


def test_a_second_entry_point_runs_another_command_of_the_same_image() -> None:
    scope = stack()
    classifier = ClassifierFunction(
        scope, "Classifier", deployment=DEPLOYMENT, model=ROOT / "models" / "hair-type", image=ImageSettings(),
        function=FunctionSettings(), inputs=InputSettings(),
    )  # fmt: skip
    ContainerFunction(
        scope, "Jobs", deployment=DEPLOYMENT, name="loupe-dev-jobs", description="Starts jobs", image=classifier.image,
        command="jobs.handler", memory_mib=512, timeout=cdk.Duration.seconds(30), environment=classifier.variables,
    )  # fmt: skip
    deployed = functions(scope)
    first, second = deployed["loupe-dev"], deployed["loupe-dev-jobs"]
    assert first["Code"] == second["Code"]
    assert (first["ImageConfig"], second["ImageConfig"]) == (
        {"Command": ["handler.handler"]}, {"Command": ["jobs.handler"]}
    )  # fmt: skip
    assert second["Environment"]["Variables"]["LOUPE_MODEL"] == "hair-type"
    assert second["Role"] != first["Role"]
    # Tracing that is off is written; what is left out could stay in force.
    assert second["TracingConfig"] == {"Mode": "PassThrough"}


def test_log_groups_have_the_retention_and_removal_policy_of_the_deployment() -> None:
    scope = stack()
    ContainerFunction(
        scope, "Hook", deployment=DEPLOYMENT, name="loupe-dev-hook", description="A hook",
        image=EcrImage("arm64", "loupe", f"sha256:{'0' * 64}"), command="hook.handler", memory_mib=512,
        timeout=cdk.Duration.seconds(30), environment={},
    )  # fmt: skip
    (group,) = Template.from_stack(scope).find_resources("AWS::Logs::LogGroup").values()
    assert group["Properties"] == {"RetentionInDays": 7}
    assert group["DeletionPolicy"] == "Delete"
    assert functions(scope)["loupe-dev-hook"]["Architectures"] == ["arm64"]


def test_a_model_outside_the_sources_gets_a_separate_build_context(tmp_path: Path) -> None:
    model = tmp_path / "flowers"
    model.mkdir()
    (model / "card.json").write_text("{}")
    context, _ = Sources(ROOT).build_context([model], tmp_path / "cdk.out")
    assert (context / "models" / "flowers" / "card.json").read_text() == "{}"
    assert [path.name for path in (context / "models").iterdir()] == ["flowers"]
    assert (context / "function" / "Dockerfile").is_file()
    assert (context / ".dockerignore").read_bytes() == (ROOT / ".dockerignore").read_bytes()


def test_a_model_of_the_sources_is_built_without_the_other_models(tmp_path: Path) -> None:
    context, excluded = Sources(ROOT).build_context([ROOT / "models" / "hair-type"], tmp_path)
    assert context == ROOT
    assert "models/hair-type" not in excluded
    assert "models/hair-type-large" in excluded
