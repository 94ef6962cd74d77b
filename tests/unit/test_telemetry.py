"""What is told about a request: one log line, and metrics in the embedded metric format, with nothing private."""

from __future__ import annotations

import json

import pytest
from events import Context, base64_of, json_body, rest
from fakes import make_app
from loupe.errors import UrlUnreachable
from loupe.telemetry import NAMESPACE, STAGE_METRICS
from pictures import BLUE, RED, jpeg, solid

PICTURE = jpeg(solid(RED))
URL = "https://user.example.com/private/path.jpg?token=secret"


@pytest.fixture
def told(capsys, classifier):
    """Call and return the log lines and the metric blobs of it."""
    app = make_app(classifier, pages={URL: PICTURE, "https://down.example": UrlUnreachable("It is down.")})

    def call(event, direct=False):
        capsys.readouterr()
        app.direct(event, Context()) if direct else app.http(event, Context())
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [line for line in lines if "_aws" not in line], [line for line in lines if "_aws" in line]

    return call


def metrics(blobs):
    """(name, dimensions without the two that all have) -> (unit, value)"""
    found = {}
    for blob in blobs:
        for group in blob["_aws"]["CloudWatchMetrics"]:
            assert group["Namespace"] == NAMESPACE
            (names,) = group["Dimensions"]
            assert (blob["Environment"], blob["Model"]) == ("test", "tiny")
            own = tuple(sorted(f"{name}={blob[name]}" for name in names if name not in ("Environment", "Model")))
            for metric in group["Metrics"]:
                assert (metric["Name"], own) not in found
                found[metric["Name"], own] = (metric["Unit"], blob[metric["Name"]])
    return found


def test_a_request_is_one_structured_line(told) -> None:
    logs, _ = told(rest(body=PICTURE))
    (line,) = logs
    assert line["level"] == "INFO"
    assert line["request_id"] == "request-1"
    assert (line["trigger"], line["route"], line["source"], line["label"]) == ("http", "classify", "inline", "red")
    assert (line["service"], line["environment"], line["model"]) == ("loupe", "test", "tiny")
    assert set(line["stages_ms"]) == {"source", "decode", "tensor", "model"}
    assert line["duration_ms"] >= sum(line["stages_ms"].values()) - 1


def test_only_the_first_request_is_a_cold_start(told) -> None:
    first, second = told(rest(body=PICTURE)), told(rest(body=PICTURE))
    assert (first[0][0]["cold_start"], second[0][0]["cold_start"]) == (True, False)
    assert ("ColdStart", ()) in metrics(first[1])
    assert ("ColdStart", ()) not in metrics(second[1])


def test_a_classification_is_measured(told) -> None:
    found = metrics(told({"image": base64_of(PICTURE)}, direct=True)[1])
    assert found["Requests", ()] == ("Count", [1.0])
    assert found["Predictions", ("Label=red",)] == ("Count", [1.0])
    unit, (confidence,) = found["Confidence", ()]
    assert unit == "None"
    assert 0.9 < confidence <= 1
    for name in (*STAGE_METRICS.values(), "TotalLatency"):
        unit, (milliseconds,) = found[name, ()]
        assert unit == "Milliseconds"
        assert 0 <= milliseconds < 10_000
    assert len(found) == 9


def test_a_problem_is_measured_by_its_code(told) -> None:
    logs, blobs = told(rest(body=PICTURE[:300]))
    assert (logs[0]["level"], logs[0]["code"], logs[0]["status"]) == ("INFO", "image_undecodable", 422)
    found = metrics(blobs)
    assert found["Problems", ("Code=image_undecodable",)] == ("Count", [1.0])
    assert found["Requests", ()] == ("Count", [1.0])
    assert ("Confidence", ()) not in found


@pytest.mark.parametrize("path", ["/v1/health", "/v1/models", "/nothing", "/"])
def test_what_is_no_classification_is_logged_and_not_measured(told, path) -> None:
    logs, blobs = told(rest("GET", path))
    assert len(logs) == 1
    assert blobs == []


def test_a_batch_is_measured_by_its_items(told) -> None:
    items = [{"image": base64_of(PICTURE)}, {"image": base64_of(jpeg(solid(BLUE)))}, {"image": base64_of(PICTURE)},
             {"url": "https://down.example"}, {"image": "!"}]  # fmt: skip
    logs, blobs = told(rest(path="/v1/classify/batch", **json_body({"items": items})))
    (line,) = logs
    assert (line["route"], line["items"]) == ("batch", 5)
    assert line["item_codes"] == {"url_unreachable": 1, "request_invalid": 1}
    found = metrics(blobs)
    assert found["Requests", ()] == ("Count", [5.0])
    assert found["Predictions", ("Label=red",)] == ("Count", [2.0])
    assert found["Predictions", ("Label=blue",)] == ("Count", [1.0])
    assert found["Problems", ("Code=url_unreachable",)] == ("Count", [1.0])
    assert found["BatchLatency", ()][0] == "Milliseconds"
    assert len(found["Confidence", ()][1]) == 3
    assert ("TotalLatency", ()) not in found


def test_nothing_private_is_told(told) -> None:
    for event in (json_body({"url": URL}), json_body({"image": base64_of(PICTURE)}), json_body({"s3": {"bucket": "b",
                  "key": "private"}})):  # fmt: skip
        logs, blobs = told(rest(**{**event, "headers": {**event["headers"], "X-Api-Key": "key-of-api"}}))
        text = json.dumps([logs, blobs])
        assert not [word for word in ("secret", "private", "key-of-api", base64_of(PICTURE)[:40]) if word in text]
    logs, _ = told(rest(**json_body({"url": URL})))
    assert logs[0]["url_host"] == "user.example.com"


def test_a_line_cannot_be_forged(told) -> None:
    logs, _ = told(rest(**json_body({'x\n{"level": "ERROR"}': 1})))
    assert len(logs) == 1
