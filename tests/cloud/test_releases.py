"""Releases in the local cloud: the deployed hooks, synthetic traffic and alarms; CodeDeploy is stood in for."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import threading
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from deployment import QUIETLY, Deployed, deployed_stack, own_cloud
from onnx import TensorProto, helper
from PIL import Image

from localcloud.errors import CloudError
from localcloud.models import golden
from localcloud.release_command import release
from localcloud.settings import compose
from localcloud.state import PROJECT, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.releases import Outcome

MODELS, ORIGINAL = PROJECT / "models", PROJECT / "models" / "hair-type"
DAMAGED, BRITTLE, GOOD = "test-release-damaged", "test-release-brittle", "test-release-good"
# Mean of the input, from -1 to 1, above which the brittle model gives no number: golden images are darker.
BRIGHT = 0.9
RULES = {"strategy": "canary", "percent": 30, "interval_minutes": 3, "environments": 3}
SETTINGS = {
    "release": RULES,
    "api": {"rate_limit": 1000, "burst_limit": 2000},
    "auth": {"clients": {"default": {"rate": 1000, "burst": 2000}}},
}
MINUTE = 3.0


def successor(name: str, *nodes: onnx.NodeProto) -> None:
    """Write a model that is the shipped one, with nodes between its own result (``own``) and its output."""
    folder = MODELS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copytree(ORIGINAL / "golden", folder / "golden")
    graph = onnx.load(ORIGINAL / "model.onnx")
    card = json.loads((ORIGINAL / "card.json").read_text())
    output = card["output"]["name"]
    if nodes:
        for node in graph.graph.node:
            node.output[:] = ["own" if item == output else item for item in node.output]
        graph.graph.node.extend(nodes)
    constants = {"bright": BRIGHT, "zero": 0.0}
    for key, value in constants.items():
        graph.graph.initializer.append(helper.make_tensor(key, TensorProto.FLOAT, [1], [value]))
    graph.graph.initializer.append(helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]))
    onnx.save(graph, folder / "model.onnx")
    data = (folder / "model.onnx").read_bytes()
    files = [{"path": "model.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}]
    (folder / "card.json").write_text(json.dumps({**card, "name": name, "files": files}))


def damaged() -> None:
    successor(DAMAGED, helper.make_node("Neg", ["own"], ["logit"]))


def brittle() -> None:
    """Right for golden images; no number for bright ones, as a graph with an overflow has it."""
    successor(
        BRITTLE,
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["bright", "mean"], ["left"]),
        helper.make_node("Log", ["left"], ["log"]),
        helper.make_node("Mul", ["log", "zero"], ["nothing"]),
        helper.make_node("Shape", ["own"], ["shape"]),
        helper.make_node("Reshape", ["nothing", "shape"], ["shaped"]),
        helper.make_node("Add", ["own", "shaped"], ["logit"]),
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A cloud of this module's own, and a clean models/ after it."""
    with own_cloud(tmp_path_factory.mktemp("cloud"), DAMAGED, BRITTLE, GOOD) as state:
        yield state


@pytest.fixture(scope="module")
def deployed(state: State) -> Deployed:
    return deployed_stack(state, SETTINGS)


def alias(deployed: Deployed) -> tuple[str, Any]:
    """Version and weights of the alias."""
    answer = deployed.client("lambda").get_alias(FunctionName=deployed.outputs["FunctionName"], Name="live")
    return answer["FunctionVersion"], answer.get("RoutingConfig")


def model_of(deployed: Deployed, version: str) -> str:
    configuration = deployed.client("lambda").get_function_configuration(
        FunctionName=deployed.outputs["FunctionName"], Qualifier=version
    )
    model: str = configuration["Environment"]["Variables"]["LOUPE_MODEL"]
    return model


def assert_back(deployed: Deployed) -> None:
    """The alias is at a version of the shipped model, without weights.

    Its number is a new one: MiniStack publishes the version of the previous template again, where CloudFormation has
    still the old one.
    """
    version, weights = alias(deployed)
    assert (model_of(deployed, version), weights) == ("hair-type", None)


def released(state: State, events: list[str], **patch: Any) -> Outcome:
    return release(state, compose(SETTINGS, patch), QUIETLY, events.append, MINUTE)


def test_the_first_deployment_runs_no_hook(deployed: Deployed) -> None:
    assert alias(deployed) == ("1", None)
    logs = deployed.client("logs")
    name = deployed.client("lambda").get_function_configuration(FunctionName="loupe-local-before-traffic")
    assert not logs.filter_log_events(logGroupName=name["LoggingConfig"]["LogGroup"])["events"]


def test_a_damaged_model_is_stopped_before_traffic_by_the_name_of_a_golden_case(
    state: State, deployed: Deployed
) -> None:
    damaged()
    events: list[str] = []
    outcome = released(state, events, model={"name": DAMAGED})
    assert (outcome.status, outcome.rolled_back) == ("Failed", True)
    assert outcome.reason == "BeforeAllowTraffic: loupe-local-before-traffic reports Failed"
    case = golden("hair-type")[0]
    image = case.path.relative_to(ORIGINAL).as_posix()
    (finding,) = [item for item in outcome.findings if image in item]
    assert finding.startswith(f"golden case {DAMAGED} {image}: the label is ")
    assert f"not {case.label}" in finding
    assert_back(deployed)
    assert not [event for event in events if event.startswith("AllowTraffic")], "no request met the version"
    assert deployed.classify(case.path.read_bytes()).json["model"]["name"] == "hair-type"


def test_a_version_that_fails_only_under_traffic_is_rolled_back_by_its_own_alarm(
    state: State, deployed: Deployed
) -> None:
    brittle()
    buffer = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(buffer, "JPEG")
    statuses: list[int] = []
    shifting, done = threading.Event(), threading.Event()

    def tell(event: str) -> None:
        events.append(event)
        if event.startswith("AllowTraffic"):
            shifting.set()

    def send() -> None:
        # Before the shift: MiniStack has the alias at the new version for a moment, where CodeDeploy alone moves it.
        shifting.wait(120)
        while not done.wait(0.1):
            statuses.append(deployed.classify(buffer.getvalue()).status)

    events: list[str] = []
    client = threading.Thread(target=send)
    client.start()
    try:
        settings = compose(SETTINGS, {"model": {"name": BRITTLE}, "release": {**RULES, "interval_minutes": 14}})
        outcome = release(state, settings, QUIETLY, tell, MINUTE)
    finally:
        shifting.set()
        done.set()
        client.join()
    assert outcome.status == "Stopped"
    (shift,) = [event for event in events if event.startswith("AllowTraffic")]
    version = shift.rpartition(" ")[2]
    assert outcome.reason == f"alarm loupe-local-ReleaseFaults-{version}"
    assert "BeforeAllowTraffic: loupe-local-before-traffic reports Succeeded" in events
    assert outcome.findings == (), "golden cases were right all the time"
    assert_back(deployed)
    assert 0 < statuses.count(500) < statuses.count(200), "the old version had most of the traffic, and was right"
    assert deployed.classify(buffer.getvalue()).status == 200


def test_the_alarms_of_the_version_that_was_rolled_back_are_gone(deployed: Deployed) -> None:
    names = deployed.client("cloudwatch").describe_alarms(AlarmNamePrefix="loupe-local-Release")["MetricAlarms"]
    assert {alarm["AlarmName"].rpartition("-")[2] for alarm in names} == {alias(deployed)[0]}


def test_a_good_model_gets_all_traffic_in_two_steps(state: State, deployed: Deployed) -> None:
    successor(GOOD)
    before, _ = alias(deployed)
    events: list[str] = []
    outcome = released(state, events, model={"name": GOOD})
    assert outcome.status == "Succeeded", outcome
    after, weights = alias(deployed)
    assert (int(after) > int(before), weights) == (True, None)
    steps = [event for event in events if event.startswith(("AllowTraffic", "BeforeAllow", "AfterAllow"))]
    assert steps == [
        "BeforeAllowTraffic: loupe-local-before-traffic reports Succeeded",
        f"AllowTraffic: 30% to version {after}",
        f"AllowTraffic: 100% to version {after}",
        "AfterAllowTraffic: loupe-local-after-traffic reports Succeeded",
    ]
    case = golden("hair-type")[0]
    assert deployed.classify(case.path.read_bytes()).json["model"]["name"] == GOOD


def test_synthetic_traffic_reached_the_new_version_and_stops_with_the_shift(deployed: Deployed) -> None:
    version, _ = alias(deployed)
    pages = deployed.client("cloudwatch").list_metrics(Namespace="Loupe", MetricName="SyntheticRequests")["Metrics"]
    dimensions = [{item["Name"]: item["Value"] for item in metric["Dimensions"]} for metric in pages]
    assert {"Environment": "local", "FunctionVersion": version} in dimensions
    answer = deployed.client("lambda").invoke(FunctionName="loupe-local-synthetic-traffic", Payload=b"{}")
    assert json.load(answer["Payload"]) == {"version": None, "requests": 0, "findings": []}


def test_several_environments_respond_before_traffic(deployed: Deployed) -> None:
    name = deployed.client("lambda").get_function_configuration(FunctionName="loupe-local-before-traffic")
    events = deployed.client("logs").filter_log_events(logGroupName=name["LoggingConfig"]["LogGroup"])["events"]
    lines = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
    counts = [line["environments"] for line in lines if line["message"] == "environments"]
    assert len(counts) == 3, "a damaged version, a brittle one, a good one"
    assert min(counts[1:]) >= RULES["environments"]


def test_a_release_without_a_change_deploys_nothing(state: State, deployed: Deployed) -> None:
    before = alias(deployed)
    outcome = released(state, [], model={"name": GOOD})
    assert (outcome.status, "nothing of the function has changed" in outcome.reason) == ("Succeeded", True)
    assert alias(deployed) == before


def test_a_release_from_another_version_than_the_stacks_is_rejected(state: State, deployed: Deployed) -> None:
    functions, (version, _) = deployed.client("lambda"), alias(deployed)
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=deployed.outputs["FunctionName"])
    numbers = [item["Version"] for page in pages for item in page["Versions"] if item["Version"] != "$LATEST"]
    other = next(number for number in numbers if number != version)
    where = {"FunctionName": deployed.outputs["FunctionName"], "Name": "live"}
    functions.update_alias(**where, FunctionVersion=other)
    try:
        with pytest.raises(CloudError, match=rf"serves version {other}, and the stack deployed version {version}"):
            released(state, [], model={"name": "hair-type"})
    finally:
        functions.update_alias(**where, FunctionVersion=version)


def test_the_first_gradual_release_of_a_stack_that_moved_all_at_once(state: State, deployed: Deployed) -> None:
    """The version that serves stays while the shift lasts, and after a rollback."""
    deployed_stack(state, compose(SETTINGS, {"release": None}))
    version, _ = alias(deployed)
    damaged()
    assert released(state, [], model={"name": DAMAGED}).rolled_back
    assert_back(deployed)
    case = golden("hair-type")[0]
    assert deployed.classify(case.path.read_bytes()).json["label"] == case.label
    outcome = released(state, [], model={"name": GOOD})
    assert (outcome.status, int(alias(deployed)[0]) > int(version)) == ("Succeeded", True)
    assert deployed.classify(case.path.read_bytes()).json["model"]["name"] == GOOD
