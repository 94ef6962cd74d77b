"""Several models behind one app: routes, direct invocations, first use, and what is logged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from events import Context, base64_of, body_of, rest
from images import BLUE, RED, jpeg, solid
from loupe.card import CardError
from loupe.classifier import Classifier
from loupe.errors import NotFound
from loupe.http.app import App
from loupe.http.routes import MODEL_ROUTES, find, model_of
from loupe.models import Models
from loupe.service import Service
from loupe.settings import MetricsRules, Settings
from loupe.sources.s3 import S3Rules
from loupe.telemetry import Telemetry
from loupe.variables import SettingsError
from tinymodel import graph, write_model

ROOT = Path(__file__).resolve().parents[2]
RED_IMAGE, BLUE_IMAGE = jpeg(solid(RED)), jpeg(solid(BLUE))
NAMES = ["tiny", "other"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two models: the second predicts the opposite, with other labels."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny")
    output = {"kind": "logit", "labels": ["cold", "warm"]}
    write_model(folder / "other", graph(weight=-4.0), version="2.0.0", output=output)
    return folder


@pytest.fixture
def created():
    return []


@pytest.fixture
def models(folder, created):
    def create(name):
        created.append(name)
        return Service(Classifier.load(folder / name))

    return Models(folder, NAMES, create)


@pytest.fixture
def app(models):
    telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
    return App(models.service("tiny"), None, telemetry, s3_rules=S3Rules(), models=models)


def classify(app, path, body=RED_IMAGE, **event):
    return app.http(rest(path=path, body=body, **event), Context())


def test_the_model_of_the_path_is_used(app) -> None:
    assert body_of(classify(app, "/v1/classify"))["model"]["name"] == "tiny"
    assert body_of(classify(app, "/v1/models/tiny/classify"))["label"] == "red"
    other = body_of(classify(app, "/v1/models/other/classify"))
    assert (other["label"], other["model"]["name"], other["model"]["version"]) == ("cold", "other", "2.0.0")


def test_the_model_of_the_path_is_used_for_batches(app) -> None:
    body = json.dumps({"items": [{"image": base64_of(image)} for image in (RED_IMAGE, BLUE_IMAGE, b"none")]})
    headers = {"Content-Type": "application/json"}
    answer = body_of(classify(app, "/v1/models/other/classify/batch", body, headers=headers))
    assert [item["result"]["label"] for item in answer["results"][:2]] == ["cold", "warm"]
    assert answer["results"][2]["error"]["code"] == "unsupported_media_type"
    assert answer["model"]["name"] == "other"


def test_a_direct_invocation_names_its_model(app) -> None:
    image = {"image": base64_of(RED_IMAGE)}
    assert app.direct(image, Context())["model"]["name"] == "tiny"
    assert app.direct({**image, "model": "other"}, Context())["label"] == "cold"
    assert app.direct({"items": [image], "model": "other"}, Context())["model"]["name"] == "other"
    assert app.direct({**image, "model": "none"}, Context())["error"]["code"] == "not_found"
    assert app.direct({**image, "model": 5}, Context())["error"]["code"] == "request_invalid"


@pytest.mark.parametrize(
    "path",
    ["/v1/models/none/classify", "/v1/models//classify", "/v1/models/..%2Ftiny/classify", "/v1/models/tiny/x",
     "/v1/models/tiny/classify/batch/x", "/x/v1/models/tiny/classify", f"/v1/models/{'a' * 5000}/classify"],
)  # fmt: skip
def test_other_paths_are_not_found(app, created, path) -> None:
    answer = classify(app, path)
    assert (answer["statusCode"], body_of(answer)["code"]) == (404, "not_found")
    assert created == ["tiny"]


def test_the_problem_of_an_unknown_model_lists_the_models(app) -> None:
    assert "tiny, other" in body_of(classify(app, "/v1/models/none/classify"))["detail"]


def test_only_post_is_allowed(app) -> None:
    answer = app.http(rest("GET", "/v1/models/other/classify"), Context())
    assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "POST, OPTIONS")


def test_a_model_is_loaded_by_its_first_request_once(app, created) -> None:
    assert body_of(app.http(rest("GET", "/v1/models"), Context()))["models"][1]["labels"] == ["cold", "warm"]
    assert created == ["tiny"]
    first = classify(app, "/v1/models/other/classify")
    classify(app, "/v1/models/other/classify")
    assert created == ["tiny", "other"]
    assert "load;dur=" in first["headers"]["Server-Timing"]


def test_all_models_are_described_the_default_first(app) -> None:
    described = body_of(app.http(rest("GET", "/v1/models"), Context()))["models"]
    assert [(model["name"], model["labels"]) for model in described] == [
        ("tiny", ["blue", "red"]), ("other", ["cold", "warm"]),
    ]  # fmt: skip


def test_a_model_that_cannot_be_loaded_is_a_server_fault(folder) -> None:
    def create(name):
        if name == "other":
            raise CardError("other: a file is missing")
        return Service(Classifier.load(folder / name))

    models = Models(folder, NAMES, create)
    telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
    app = App(models.service("tiny"), None, telemetry, s3_rules=S3Rules(), models=models)
    answer = classify(app, "/v1/models/other/classify")
    assert (answer["statusCode"], body_of(answer)["code"]) == (500, "internal_error")
    assert "missing" not in answer["body"]
    assert classify(app, "/v1/classify")["statusCode"] == 200


def test_requests_are_logged_and_measured_under_their_model(app, capsys) -> None:
    def records(body):
        capsys.readouterr()
        classify(app, "/v1/models/other/classify", body)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    for body in (RED_IMAGE, RED_IMAGE[:300]):
        line, *blobs = records(body)
        assert (line["model"], line["model_version"], line["route"]) == ("other", "2.0.0", "classify")
        assert {blob["Model"] for blob in blobs} == {"other"}
        assert any("Requests" in blob for blob in blobs)


def test_a_deployment_with_one_model_has_no_such_routes() -> None:
    for route in MODEL_ROUTES:
        path = route.path.format(name="tiny")
        with pytest.raises(NotFound):
            find("POST", path)
        assert find("POST", path, models=True) is route
        assert model_of(path) == "tiny"


def settings(**variables):
    return Settings.from_environment({f"LOUPE_{name}": value for name, value in variables.items()}, Path("models"))


def test_settings_list_all_models_and_those_of_first_use() -> None:
    read = settings(MODEL="tiny", MODELS="tiny,other,third", MODELS_AT_FIRST_USE="third")
    assert (read.models, read.models_at_first_use) == (("tiny", "other", "third"), ("third",))
    assert settings(MODEL="tiny").models == ()


@pytest.mark.parametrize(
    "variables",
    [
        {"MODEL": "tiny", "MODELS": "other,tiny"},
        {"MODEL": "tiny", "MODELS": "tiny,other,other"},
        {"MODEL": "tiny", "MODELS": "tiny,../other"},
        {"MODEL": "tiny", "MODELS": "tiny,other", "MODELS_AT_FIRST_USE": "third"},
        {"MODEL": "tiny", "MODELS": "tiny,other", "MODELS_AT_FIRST_USE": "tiny"},
        {"MODEL": "tiny", "MODELS_AT_FIRST_USE": "other"},
    ],
)
def test_wrong_lists_of_models_stop_the_cold_start(variables) -> None:
    with pytest.raises(SettingsError, match="LOUPE_MODELS"):
        settings(**variables)


@pytest.mark.parametrize(("later", "loaded"), [("", [True, True]), ("other", [True, False])])
def test_the_handler_loads_models_at_init_or_first_use(folder, later, loaded) -> None:
    code = (
        "import json, sys, types; sys.path.insert(0, sys.argv[1]); import handler\n"
        "names = ['tiny', 'other']\n"
        "print(json.dumps([name in handler.MODELS._services for name in names]))\n"
        "context = types.SimpleNamespace(aws_request_id='r', get_remaining_time_in_millis=lambda: 9000)\n"
        "print(json.dumps(handler.handler({'image': sys.argv[2], 'model': 'other'}, context)['label']))"
    )
    variables = {"LOUPE_MODELS_DIR": str(folder), "LOUPE_MODEL": "tiny", "LOUPE_MODELS": "tiny,other",
                 "LOUPE_MODELS_AT_FIRST_USE": later}  # fmt: skip
    command = [sys.executable, "-c", code, str(ROOT / "function"), base64_of(RED_IMAGE)]
    output = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = [line for line in output.splitlines() if not line.startswith("{")]
    assert [json.loads(line) for line in lines] == [loaded, "cold"]
