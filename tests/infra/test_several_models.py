"""Several models in one deployment: image, variables, routes, alarms, dashboard, memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loupe.classifier import Classifier

from infra.cards import BULK_MIB, RUNTIME_MIB, ModelCard, check_memory, read_card, session_mib
from infra.settings import SettingsError, load_settings
from infra.sources import Sources
from tests.infra.synthesis import ROOT, Synthesized, synthesize

BOTH = {"models": [{"name": "hair-type"}, {"name": "hair-type-large", "load": "first-use"}]}


@pytest.fixture(scope="module")
def several() -> Synthesized:
    return synthesize("prod", BOTH)


def test_the_function_gets_all_models_the_default_first(several: Synthesized) -> None:
    variables = several.only("AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables["LOUPE_MODEL"] == "hair-type"
    assert variables["LOUPE_MODELS"] == "hair-type,hair-type-large"
    assert variables["LOUPE_MODELS_AT_FIRST_USE"] == "hair-type-large"


def test_the_image_is_built_with_these_models_and_no_others(several: Synthesized, tmp_path: Path) -> None:
    assets = json.loads(next(several.folder.glob("*.assets.json")).read_text())
    (image,) = assets["dockerImages"].values()
    arguments = image["source"]["dockerBuildArgs"]
    assert (arguments["MODEL"], arguments["MODELS"]) == ("hair-type", "hair-type hair-type-large")
    models = ROOT / "models"
    _, exclude = Sources().build_context([models / "hair-type", models / "hair-type-large"], tmp_path)
    assert {"models/hair-type", "models/hair-type-large"}.isdisjoint(exclude)
    assert {f"models/{path.name}" for path in models.iterdir()} - set(exclude) == {
        "models/hair-type", "models/hair-type-large",
    }  # fmt: skip


def _paths(template: Synthesized) -> set[str]:
    """Paths of all methods, by the parts of their resources."""
    resources = template.resources("AWS::ApiGateway::Resource")

    def path(reference: Any) -> str:
        if "Ref" not in reference:
            return ""
        properties = resources[reference["Ref"]]["Properties"]
        return f"{path(properties['ParentId'])}/{properties['PathPart']}"

    return {
        f"{method['Properties']['HttpMethod']} {path(method['Properties']['ResourceId'])}"
        for method in template.resources("AWS::ApiGateway::Method").values()
    }


def test_the_gateway_has_the_routes_that_name_a_model(several: Synthesized, prod: Synthesized) -> None:
    assert _paths(several) - _paths(prod) == {
        "POST /v1/models/{name}/classify", "POST /v1/models/{name}/classify/batch", "POST /v1/models/{name}/jobs",
    }  # fmt: skip
    assert _paths(prod) <= _paths(several)


def test_the_routes_need_the_credentials_of_the_others(several: Synthesized) -> None:
    keyed = [
        method["Properties"].get("ApiKeyRequired")
        for method in several.resources("AWS::ApiGateway::Method").values()
        if method["Properties"]["HttpMethod"] == "POST"
    ]
    assert len(keyed) >= 5
    assert set(keyed) == {True}


def test_the_firewall_lets_images_pass_to_every_model(several: Synthesized) -> None:
    rules = json.dumps(several.only("AWS::WAFv2::WebACL")["Rules"])
    for name in ("hair-type", "hair-type-large"):
        assert f"/v1/models/{name}/classify" in rules
        assert f"/v1/models/{name}/classify/batch" in rules


def test_each_model_has_alarms_and_a_dashboard_row(several: Synthesized, prod: Synthesized) -> None:
    def alarms(template: Synthesized) -> set[str]:
        return {item["Properties"]["AlarmName"] for item in template.resources("AWS::CloudWatch::Alarm").values()}

    assert alarms(several) - alarms(prod) == {
        "loupe-prod-ColdStartRate-hair-type-large", "loupe-prod-ServerFaultRate-hair-type-large",
        "loupe-prod-UndecodableImageRate-hair-type-large",
    }  # fmt: skip
    assert alarms(prod) <= alarms(several)
    dashboard = json.dumps(several.only("AWS::CloudWatch::Dashboard")["DashboardBody"])
    for name in ("hair-type", "hair-type-large"):
        assert f"Confidence, {name}" in dashboard


def test_permissions_stay_the_same(several: Synthesized, prod: Synthesized) -> None:
    for kind in ("AWS::IAM::Policy", "AWS::IAM::Role"):
        assert several.resources(kind) == prod.resources(kind)


def test_a_model_that_is_not_there_is_rejected_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"there is no models/none/card.json.*hair-type-large"):
        synthesize("dev", {"models": [{"name": "hair-type"}, {"name": "none"}]})


def test_models_that_do_not_fit_the_memory_are_rejected() -> None:
    with pytest.raises(SettingsError, match=r"models need about \d+ MiB: 360 for the runtime.*memory_mib is 400"):
        synthesize("dev", {**BOTH, "function": {"memory_mib": 400}})


def test_jobs_start_only_after_the_bulk_function_has_the_models(several: Synthesized, prod: Synthesized) -> None:
    """CloudFormation updates the alias of the jobs function last."""

    def dependencies(template: Synthesized) -> list[str]:
        aliases = template.resources("AWS::Lambda::Alias")
        return next(alias.get("DependsOn", []) for name, alias in aliases.items() if name.startswith("BulkJobs"))

    assert [name for name in dependencies(several) if name.startswith("BulkFunctionAlias")]
    # Of a gradual release: jobs get the new version once it has passed.
    assert all(name.startswith("ClassifierFunctionAlias") for name in dependencies(prod))


def test_models_that_do_not_fit_the_bulk_function_are_rejected() -> None:
    small = {**BOTH, "bulk": {"enabled": True, "memory_mib": 600}}
    with pytest.raises(SettingsError, match=r"models need about \d+ MiB in the bulk function.*memory_mib is 600"):
        synthesize("dev", small)


def test_the_memory_of_the_bulk_function_holds_every_model() -> None:
    small = ModelCard("a", "1", ("x",), 0)
    room = BULK_MIB + 2 * session_mib(small)

    def settings(memory: int, *, enabled: bool = True) -> Any:
        values = {"bulk": {"enabled": enabled, "memory_mib": memory}}
        return load_settings({"environments": {"dev": values}}, "dev")

    check_memory([small, small], settings(room))
    with pytest.raises(SettingsError, match="in the bulk function"):
        check_memory([small, small], settings(room - 1))
    check_memory([small, small], settings(room - 1, enabled=False))
    check_memory([small], settings(512))


def test_the_cache_counts_and_one_model_is_not_checked() -> None:
    small = ModelCard("a", "1", ("x",), 0)
    room = RUNTIME_MIB + 2 * session_mib(small)

    def settings(memory: int, cache: int) -> Any:
        values = {"function": {"memory_mib": memory}, "cache": {"memory_mib": cache}}
        return load_settings({"environments": {"dev": values}}, "dev")

    check_memory([small, small], settings(room, 0))
    with pytest.raises(SettingsError, match="10 for the cache"):
        check_memory([small, small], settings(room, 10))
    check_memory([small], settings(256, 0))


@pytest.mark.parametrize("name", ["hair-type", "hair-type-large"])
def test_a_session_takes_no_more_than_is_reserved_for_it(name: str) -> None:
    """Resident memory of this process before and after; the first session also loads parts of ONNX Runtime."""

    def resident() -> float:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    before = resident()
    classifier = Classifier.load(ROOT / "models" / name)
    grown = resident() - before
    assert classifier.info.name == name
    assert grown <= session_mib(read_card(ROOT / "models", name, files="all"))
