"""Telemetry of a request: one log line, and metrics in the embedded metric format, without private data."""

from __future__ import annotations

import json

import pytest
from events import Context, base64_of, json_body, rest
from fakes import Broken, Opened, make_app
from images import BLUE, RED, jpeg, solid
from loupe import errors
from loupe.classifier import Classifier
from loupe.errors import UrlUnreachable
from loupe.prediction import Prediction
from loupe.settings import MetricsRules
from loupe.sources import Sources
from loupe.sources.url import Url, UrlRules
from loupe.telemetry import NAMESPACE, STAGE_METRICS, Observation, Telemetry
from tinymodel import graph, write_model

IMAGE = jpeg(solid(RED))
URL = "https://user.example.com/private/path.jpg?token=secret"


@pytest.fixture
def emitted(capsys, classifier):
    """Return a function that calls the app and returns its log lines and metric blobs."""
    pages = {URL: IMAGE, "https://down.example": UrlUnreachable("It is down.")}
    standard = make_app(classifier, pages=pages)

    def call(event, direct=False, app=standard):
        capsys.readouterr()
        app.direct(event, Context()) if direct else app.http(event, Context())
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [line for line in lines if "_aws" not in line], [line for line in lines if "_aws" in line]

    return call


def metrics(blobs):
    """Return {(name, dimensions without the two common ones): (unit, value)}."""
    values = {}
    for blob in blobs:
        for group in blob["_aws"]["CloudWatchMetrics"]:
            assert group["Namespace"] == NAMESPACE
            (names,) = group["Dimensions"]
            assert (blob["Environment"], blob["Model"]) == ("test", "tiny")
            own = tuple(sorted(f"{name}={blob[name]}" for name in names if name not in ("Environment", "Model")))
            for metric in group["Metrics"]:
                assert (metric["Name"], own) not in values
                values[metric["Name"], own] = (metric["Unit"], blob[metric["Name"]])
    return values


def test_a_request_is_one_structured_line(emitted) -> None:
    logs, _ = emitted(rest(body=IMAGE))
    (line,) = logs
    assert line["level"] == "INFO"
    assert line["request_id"] == "request-1"
    assert (line["trigger"], line["route"], line["source"], line["label"]) == ("http", "classify", "inline", "red")
    assert (line["service"], line["environment"], line["model"]) == ("loupe", "test", "tiny")
    assert set(line["stages_ms"]) == {"source", "decode", "tensor", "model"}
    assert line["duration_ms"] >= sum(line["stages_ms"].values()) - 1


def test_only_the_first_request_is_a_cold_start(emitted) -> None:
    first, second = emitted(rest(body=IMAGE)), emitted(rest(body=IMAGE))
    assert (first[0][0]["cold_start"], second[0][0]["cold_start"]) == (True, False)
    assert ("ColdStart", ()) in metrics(first[1])
    assert ("ColdStart", ()) not in metrics(second[1])


def test_a_classification_is_measured(emitted) -> None:
    values = metrics(emitted({"image": base64_of(IMAGE)}, direct=True)[1])
    assert values["Requests", ()] == ("Count", [1.0])
    assert values["Predictions", ("Label=red",)] == ("Count", [1.0])
    unit, (confidence,) = values["Confidence", ()]
    assert unit == "None"
    assert 0.9 < confidence <= 1
    for name in (*STAGE_METRICS.values(), "TotalLatency"):
        unit, (milliseconds,) = values[name, ()]
        assert unit == "Milliseconds"
        assert 0 <= milliseconds < 10_000
    assert values["ServerFaults", ()] == ("Count", [0.0])
    assert len(values) == 10


def test_a_problem_is_measured_by_its_code(emitted) -> None:
    logs, blobs = emitted(rest(body=IMAGE[:300]))
    assert (logs[0]["level"], logs[0]["code"], logs[0]["status"]) == ("INFO", "image_undecodable", 422)
    values = metrics(blobs)
    assert values["Problems", ("Code=image_undecodable",)] == ("Count", [1.0])
    assert values["Requests", ()] == ("Count", [1.0])
    assert ("Confidence", ()) not in values


@pytest.mark.parametrize("path", ["/v1/health", "/v1/models", "/nothing", "/"])
def test_other_routes_are_logged_and_emit_no_metrics(emitted, path) -> None:
    logs, blobs = emitted(rest("GET", path))
    assert len(logs) == 1
    assert blobs == []


def test_a_batch_is_measured_by_its_items(emitted) -> None:
    items = [{"image": base64_of(IMAGE)}, {"image": base64_of(jpeg(solid(BLUE)))}, {"image": base64_of(IMAGE)},
             {"url": "https://down.example"}, {"image": "!"}]  # fmt: skip
    logs, blobs = emitted(rest(path="/v1/classify/batch", **json_body({"items": items})))
    (line,) = logs
    assert (line["route"], line["items"]) == ("batch", 5)
    assert line["item_codes"] == {"url_unreachable": 1, "request_invalid": 1}
    values = metrics(blobs)
    assert values["Requests", ()] == ("Count", [5.0])
    assert values["Predictions", ("Label=red",)] == ("Count", [2.0])
    assert values["Predictions", ("Label=blue",)] == ("Count", [1.0])
    assert values["Problems", ("Code=url_unreachable",)] == ("Count", [1.0])
    assert values["BatchLatency", ()][0] == "Milliseconds"
    assert len(values["Confidence", ()][1]) == 3
    assert ("TotalLatency", ()) not in values


def test_log_and_metrics_contain_nothing_private(emitted) -> None:
    for event in (json_body({"url": URL}), json_body({"image": base64_of(IMAGE)}), json_body({"s3": {"bucket": "b",
                  "key": "private"}})):  # fmt: skip
        logs, blobs = emitted(rest(**{**event, "headers": {**event["headers"], "X-Api-Key": "key-of-api"}}))
        text = json.dumps([logs, blobs])
        assert not [word for word in ("secret", "private", "key-of-api", base64_of(IMAGE)[:40]) if word in text]
    logs, _ = emitted(rest(**json_body({"url": URL})))
    assert logs[0]["url_hosts"] == ["user.example.com"]


def test_a_line_cannot_be_forged(emitted) -> None:
    logs, _ = emitted(rest(**json_body({'x\n{"level": "ERROR"}': 1})))
    assert len(logs) == 1


@pytest.mark.parametrize(("kind", "cold"), [("on-demand", True), ("provisioned-concurrency", False),
                                            ("snap-start", True), ("restart", False)])  # fmt: skip
def test_a_cold_start_is_one_that_a_client_waits_for(emitted, classifier, kind, cold) -> None:
    app = make_app(classifier, initialization=kind)
    logs, blobs = emitted(rest(body=IMAGE), app=app)
    assert (logs[0]["cold_start"], logs[0]["initialization"]) == (cold, kind)
    assert (("ColdStart", ()) in metrics(blobs)) is cold
    assert "initialization" not in emitted(rest(body=IMAGE), app=app)[0][0]


def many_labels(tmp_path, count):
    labels = [f"label-{number}" for number in range(count)]
    return Classifier.load(write_model(tmp_path / "tiny", graph(outputs=count), output={"kind": "logits",
                                                                                        "labels": labels}))  # fmt: skip


@pytest.mark.parametrize(("count", "limit", "dimension"), [(20, 20, True), (21, 20, False), (1000, 20, False),
                                                           (3, 0, False), (3, 3, True)])  # fmt: skip
def test_label_is_a_dimension_for_models_with_few_labels_only(emitted, tmp_path, count, limit, dimension) -> None:
    app = make_app(many_labels(tmp_path, count), metrics=MetricsRules(max_labels=limit))
    items = [{"image": base64_of(jpeg(solid(color)))} for color in (RED, BLUE, RED)]
    for event, key in ((rest(body=IMAGE), "label"),
                       (rest(path="/v1/classify/batch", **json_body({"items": items})), "item_labels")):  # fmt: skip
        logs, blobs = emitted(event, app=app)
        assert logs[0][key]
        labelled = [dimensions for name, dimensions in metrics(blobs) if name == "Predictions"]
        assert bool(labelled) is dimension


def test_a_batch_names_at_most_20_labels_in_the_log(emitted, tmp_path) -> None:
    classifier = many_labels(tmp_path, 1000)
    observation = Observation("r", "direct", classifier.info, "batch")
    observation.items = [Prediction(f"label-{number}", 0.5, ()) for number in range(256)]
    telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
    logs, _ = emitted(None, app=type("One", (), {"http": lambda *_: telemetry.report(observation)})())
    assert len(logs[0]["item_labels"]) == 20


def test_version_and_variant_are_in_the_log_and_dimensions_on_request(emitted, classifier) -> None:
    plain, blobs = emitted(rest(body=IMAGE))
    assert (plain[0]["model_version"], plain[0]["model_variant"]) == ("1.0.0", "fp32")
    without = metrics(blobs)
    assert not [dimensions for _, dimensions in without if "ModelVersion=1.0.0" in dimensions]
    app = make_app(classifier, metrics=MetricsRules(by_version=True))
    by_version = metrics(emitted(rest(body=IMAGE), app=app)[1])
    own = ("ModelVariant=fp32", "ModelVersion=1.0.0")
    assert {name for name, dimensions in by_version if dimensions == own} == {
        name for name, dimensions in without if dimensions == ()
    }
    assert {key for key in by_version if key[1] != own} == set(without)


FAULTS = {problem for problem in errors.all_problems() if problem.status >= 500} - {errors.DeadlineExceeded}


@pytest.mark.parametrize("problem", errors.all_problems(), ids=lambda problem: problem.code)
@pytest.mark.parametrize("batch", [False, True], ids=["one", "batch"])
@pytest.mark.parametrize("direct", [False, True], ids=["http", "direct"])
def test_server_faults_count_every_5xx_of_every_trigger_but_deadlines(
    emitted, classifier, problem, batch, direct
) -> None:
    app = make_app(classifier, pages={"https://a": problem("No.")})
    payload = {"items": [{"url": "https://a"}] * 3} if batch else {"url": "https://a"}
    event = payload if direct else rest(path="/v1/classify/batch" if batch else "/v1/classify", **json_body(payload))
    _, blobs = emitted(event, direct, app)
    expected = (3.0 if batch else 1.0) if problem in FAULTS else 0.0
    assert metrics(blobs)["ServerFaults", ()] == ("Count", [expected])


def test_a_fault_of_another_route_counts_too(emitted, classifier, monkeypatch) -> None:
    monkeypatch.setattr("loupe.http.response.describe", lambda card: 1 / 0)
    _, blobs = emitted(rest("GET", "/v1/models"), app=make_app(classifier))
    assert metrics(blobs) == {("ServerFaults", ()): ("Count", [1.0])}
    _, blobs = emitted(rest(**json_body({"url": "https://a"})), app=make_app(classifier, sources=Broken(OSError("x"))))
    assert metrics(blobs)["ServerFaults", ()] == ("Count", [1.0])


SECRET = "sk-live-4f8a9b2c7d1e0f3a5b6c8d9e0f1a2b3c4d5e6f70"
UNVALIDATED = [
    f"https://{SECRET}/x@host.example/p.jpg", rf"https://host.example\{SECRET}", f"https://h;token={SECRET}/",
    f"https://user:{SECRET}@host.example/", f"https://{SECRET}", f"https://{SECRET}.example.com/", f"https://[{SECRET}]/",
    f"https://host.example:{SECRET}/", f"{SECRET}://host.example/", f"https://host.example#{SECRET}", SECRET,
]  # fmt: skip


@pytest.mark.parametrize("url", UNVALIDATED)
@pytest.mark.parametrize("policy", ["off", "allow-list", "public"])
@pytest.mark.parametrize("batch", [False, True], ids=["one", "batch"])
def test_nothing_of_a_url_is_logged_before_its_host_was_checked(emitted, classifier, url, policy, batch) -> None:
    rules = UrlRules(policy=policy, hosts=("images.example.com",))
    app = make_app(classifier, sources=Sources({Url: Opened(_fetcher(rules))}))
    payload = {"items": [{"url": url}]} if batch else {"url": url}
    logs, blobs = emitted(payload, True, app)
    assert SECRET.lower() not in json.dumps([logs, blobs]).lower()
    assert "url_hosts" not in logs[0]


def _fetcher(rules):
    from loupe.sources.url_fetcher import Fetcher

    return Fetcher(rules, 10**6, lambda *_: ())


@pytest.mark.parametrize("payload", [{"url": "x" * 4_000_000}, {"image": "!" * 4_000_000}, {"k" * 4_000_000: 1},
                                     {"top": "9" * 4_000_000, "image": "AAAA"},
                                     {"s3": {"bucket": "b" * 4_000_000, "key": "k"}}])  # fmt: skip
@pytest.mark.parametrize("batch", [False, True], ids=["one", "batch"])
def test_log_lines_stay_small_for_any_request(emitted, classifier, payload, batch) -> None:
    logs, blobs = emitted({"items": [payload] * 2} if batch else payload, True, make_app(classifier))
    assert all(len(json.dumps(line)) < 2_000 for line in (*logs, *blobs))


def test_a_problem_names_the_code_that_raised_it(emitted) -> None:
    logs, _ = emitted(rest(**json_body({"image": "!"})))
    module, _, line = logs[0]["raised_at"].partition(":")
    assert module.startswith("loupe.")
    assert int(line) > 0
    assert "detail" not in logs[0]


TRACE = "1-67891233-abcdef012345678912345678"


@pytest.mark.parametrize(("header", "logged"), [
    (f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1", TRACE), (f"Root={TRACE}", TRACE),
    (f"Root=1-67891233-{SECRET};Sampled=1", None), (f"Root={SECRET}", None), ("", None),
])  # fmt: skip
def test_only_a_trace_id_of_the_exact_form_is_logged(emitted, monkeypatch, header, logged) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    assert emitted(rest(body=IMAGE))[0][0].get("xray_trace_id") == logged


@pytest.mark.parametrize(("label", "value"), [
    ("K\u00e4tzchen", "K\\xe4tzchen"), ("\u732b", "\\u732b"), (":x", "x"), (" ", "_"), ("a\tb", "a\\tb"),
    ("don't", "don't"), ("x" * 2000, "x" * 1024),
])  # fmt: skip
def test_dimension_values_are_those_that_cloudwatch_takes(classifier, capsys, label, value) -> None:
    telemetry = Telemetry("test", "ERROR", MetricsRules(), "on-demand")
    observation = Observation("r", "direct", classifier.info, "classify")
    observation.prediction = Prediction(label, 0.5, (), model=classifier.info)
    telemetry.report(observation)
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [blob["Label"] for blob in blobs if "Label" in blob] == [value]


@pytest.mark.parametrize(("log_level", "logged"), [("DEBUG", 1), ("INFO", 1), ("WARNING", 0), ("ERROR", 0)])
def test_a_request_is_logged_at_info_and_counted_at_every_level(emitted, classifier, log_level, logged) -> None:
    logs, blobs = emitted(rest(body=IMAGE), app=make_app(classifier, log_level=log_level))
    assert [line["level"] for line in logs] == ["INFO"] * logged
    assert blobs


@pytest.mark.parametrize("log_level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_a_fault_is_logged_at_every_level(emitted, classifier, log_level) -> None:
    app = make_app(classifier, sources=Broken(ZeroDivisionError("x")), log_level=log_level)
    logs, _ = emitted(rest(**json_body({"url": URL})), app=app)
    assert [line["level"] for line in logs] == ["ERROR"]


def test_the_processor_is_described_once_and_only_at_debug(emitted, classifier) -> None:
    app = make_app(classifier, log_level="DEBUG")
    first, second = (emitted(rest(body=IMAGE), app=app)[0][0] for _ in range(2))
    assert "processor" in first
    assert "processor" not in second
    assert "processor" not in emitted(rest(body=IMAGE), app=make_app(classifier))[0][0]


def test_probabilities_are_logged_with_six_decimals(emitted, classifier) -> None:
    exact = classifier.classify(IMAGE).probability
    assert round(exact, 6) != round(exact, 7), "the image does not test the rounding"
    assert emitted(rest(body=IMAGE))[0][0]["probability"] == round(exact, 6)


def test_the_timestamp_is_utc_with_milliseconds(emitted, monkeypatch) -> None:
    monkeypatch.setattr("loupe.telemetry.time.time", lambda: 1_700_000_123.25)
    assert emitted(rest(body=IMAGE))[0][0]["timestamp"] == "2023-11-14T22:15:23.250Z"


def test_a_metric_has_at_most_the_100_values_of_the_embedded_format(classifier, capsys) -> None:
    prediction = classifier.classify(IMAGE)
    observation = Observation("request-1", "direct", prediction.model, "batch")
    observation.items = [prediction] * 101
    Telemetry("test", "ERROR", MetricsRules(), "on-demand").report(observation)
    values = metrics([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert len(values["Confidence", ()][1]) == 100
    assert values["Predictions", ("Label=red",)] == ("Count", [101.0])


def test_values_of_one_metric_with_other_dimensions_are_in_other_blobs(emitted) -> None:
    """In one blob, the value of a metric or a dimension would overwrite the other."""
    items = [{"image": base64_of(jpeg(solid(color)))} for color in (RED, BLUE)]
    _, blobs = emitted(rest(path="/v1/classify/batch", **json_body({"items": items})))
    labels = [blob["Label"] for blob in blobs if "Predictions" in blob]
    assert sorted(labels) == ["blue", "red"]
    assert {"Requests", "Predictions"} <= blobs[0].keys(), "metrics that can share a blob do not"


def test_metrics_of_two_models_are_in_blobs_of_their_own(classifier, capsys) -> None:
    """The models have no metric in common here; a shared blob would give both the dimensions of one model."""
    prediction = classifier.classify(IMAGE)
    observation = Observation("request-1", "direct", prediction.model._replace(name="service"), "batch")
    observation.items = [prediction]
    Telemetry("test", "ERROR", MetricsRules(), "on-demand").report(observation)
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(blob["Model"], name) for blob in blobs for name in ("Requests", "Confidence") if name in blob} == {
        ("service", "Requests"),
        ("tiny", "Confidence"),
    }
