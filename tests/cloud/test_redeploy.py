"""Commands on a cloud that is up: what changed is deployed, and the rest stays as it is."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from bulk_jobs import Bulk
from deployment import QUIETLY, Deployed, until
from typer.testing import CliRunner

from localcloud import cloud
from localcloud.__main__ import app
from localcloud.settings import compose

if TYPE_CHECKING:
    from localcloud.models import Golden

run = CliRunner().invoke


def test_a_second_up_deploys_the_changes(deployed: Deployed) -> None:
    changed = compose(deployed.settings, {"function": {"log_level": "DEBUG"}})
    endpoint = cloud.up(deployed.state, 0, changed, QUIETLY)
    assert (endpoint["url"], endpoint["api_key"]) == (deployed.endpoint["url"], deployed.endpoint["api_key"])
    configuration = deployed.client("lambda").get_function_configuration(
        FunctionName=deployed.outputs["FunctionName"], Qualifier="live"
    )
    assert configuration["Environment"]["Variables"]["LOUPE_LOG_LEVEL"] == "DEBUG"
    until(lambda: deployed.call("/v1/models").status == 200, 20)


def test_a_second_model_is_deployed_by_a_setting(deployed: Deployed, golden_cases: list[Golden]) -> None:
    both = [{"name": "hair-type"}, {"name": "hair-type-large", "load": "first-use"}]
    cloud.up(deployed.state, 0, compose(deployed.settings, {"models": both}), QUIETLY)
    until(lambda: len(deployed.call("/v1/models").json["models"]) == 2, 20)
    for name in ("hair-type", "hair-type-large"):
        for case in golden_cases[:2]:
            answer = deployed.post(f"/v1/models/{name}/classify", case.path.read_bytes(), "image/jpeg")
            assert (answer.status, answer.json["label"]) == (200, case.label), answer.body
            assert answer.json["model"]["name"] == name
    assert deployed.classify(golden_cases[0].path.read_bytes()).json["model"]["name"] == "hair-type"
    image = base64.b64encode(golden_cases[0].path.read_bytes()).decode()
    batch = json.dumps({"items": [{"image": image}]}).encode()
    answer = deployed.post("/v1/models/hair-type-large/classify/batch", batch)
    assert (answer.json["model"]["name"], answer.json["results"][0]["result"]["label"]) == (
        "hair-type-large", golden_cases[0].label,
    )  # fmt: skip
    assert deployed.invoke({"image": image, "model": "hair-type-large"})["model"]["name"] == "hair-type-large"
    unknown = deployed.post("/v1/models/none/classify", b"", "image/jpeg")
    assert (unknown.status, unknown.json["code"]) == (404, "not_found")
    assert deployed.call("/v1/models/hair-type/classify", b"x", "image/jpeg", key=False).status == 403


def test_a_job_uses_the_model_of_its_route(deployed: Deployed, golden_cases: list[Golden]) -> None:
    both = [{"name": "hair-type"}, {"name": "hair-type-large", "load": "first-use"}]
    cloud.up(deployed.state, 0, compose(deployed.settings, {"models": both}), QUIETLY)
    bulk = Bulk(deployed)
    for case in golden_cases[:3]:
        bulk.put(f"inputs/models/{case.path.name}", case.path.read_bytes())
    keys = [f"inputs/models/{case.path.name}" for case in golden_cases[:3]]
    manifest = {"manifest": bulk.manifest("models.jsonl", ({"key": key} for key in keys))}
    started = {}
    for route, name in (("jobs", "hair-type"), ("models/hair-type/jobs", "hair-type"),
                        ("models/hair-type-large/jobs", "hair-type-large")):  # fmt: skip
        answer = bulk.call("POST", f"/v1/{route}", manifest)
        assert (answer.status, answer.json["model"]) == (202, name), answer.body
        # As a client resolves it against the request's address.
        location = urljoin(f"{deployed.endpoint['url']}v1/{route}", answer.headers["location"])
        assert location == f"{deployed.endpoint['url']}v1/jobs/{answer.json['id']}"
        started[answer.json["id"]] = name
    for job, name in started.items():
        ended = bulk.wait(job)
        assert (ended["state"], ended["model"]) == ("succeeded", name), ended
        assert [model["name"] for model in ended["summary"]["models"]] == [name]
        rows = bulk.rows(job)
        assert [row["label"] for row in rows] == [case.label for case in golden_cases[:3]]
        assert {row["model"]["name"] for row in rows} == {name}
    unknown = bulk.call("POST", "/v1/models/none/jobs", manifest)
    assert (unknown.status, unknown.json["code"]) == (404, "not_found")
    assert deployed.call("/v1/models/hair-type/jobs", b"{}", key=False).status == 403


def test_status_lists_the_processes(deployed: Deployed) -> None:
    result = run(app, ["status", "--json", "--state", str(deployed.state.root)])
    assert result.exit_code == 0
    status = json.loads(result.stdout)
    assert status["up"]
    assert {process["name"] for process in status["processes"]} == {"ministack", "fleet"}
    assert status["endpoint"]["url"] == deployed.endpoint["url"]


def test_logs_are_printed(deployed: Deployed) -> None:
    deployed.call("/v1/health")
    until(lambda: "REPORT" in run(app, ["logs", "--state", str(deployed.state.root)]).stdout, 15)


def test_a_port_in_use_is_reported_and_no_process_is_left_running(deployed: Deployed, tmp_path_factory: object) -> None:
    other = deployed.state.root / "other"
    port = str(cloud.status(deployed.state)["port"])
    result = run(app, ["up", "--port", port, "--state", str(other)])
    assert result.exit_code == 1
    assert f"Port {port} is taken" in result.output
    assert not cloud.status(type(deployed.state)(other))["processes"]
