"""The smoke test against an endpoint in memory: a good one passes, each fault fails the check that is for it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from smoke_endpoint import DOCUMENT, KEY, MANIFEST, ORIGIN, FakeEndpoint, problem
from typer.testing import CliRunner

from tools.smoke import __main__ as command
from tools.smoke import card as cards
from tools.smoke import report
from tools.smoke.checks import all_checks
from tools.smoke.checks.predictions import percentiles
from tools.smoke.credentials import ApiKey
from tools.smoke.endpoint import Endpoint
from tools.smoke.suite import Options, Outcome, Run, execute

URL = "https://endpoint.test/live"

Smoke = Callable[..., dict[str, Outcome]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder with two golden images."""
    folder = tmp_path / "m"
    (folder / "golden").mkdir(parents=True)
    golden = []
    for number, label in enumerate(("curly", "straight")):
        image = Image.new("RGB", (40, 40), (number * 90, 20, 200))
        image.save(folder / "golden" / f"{label}.jpg")
        golden.append({"image": f"golden/{label}.jpg", "label": label, "probability": 0.9, "tolerance": 0.02})
    card = {"name": "m", "version": "1.0.0", "output": {"labels": ["curly", "straight"]}, "golden": golden}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def fake(model: Path) -> FakeEndpoint:
    return FakeEndpoint({path.read_bytes(): path.stem for path in sorted((model / "golden").iterdir())})


@pytest.fixture
def smoke(model: Path, fake: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Smoke]:
    """Run every check against the fake; gives the outcomes by name."""
    transport = httpx.MockTransport(fake)
    endpoint = Endpoint(URL, ApiKey(KEY), throttle_seconds=0, transport=transport)

    def upload(url: str, **options: Any) -> httpx.Response:
        with httpx.Client(transport=transport) as client:
            return client.post(url, **options)

    monkeypatch.setattr(httpx, "post", upload)

    def run(**options: Any) -> dict[str, Outcome]:
        card = cards.read(model)
        outcomes = execute(Run(endpoint, card, Options(latency_requests=3, **options)), all_checks(card))
        return {outcome.name: outcome for outcome in outcomes}

    yield run
    endpoint.close()


def failed(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    return {name: outcome.detail for name, outcome in outcomes.items() if outcome.status == "failed"}


def test_a_good_endpoint_passes_every_check(smoke: Smoke) -> None:
    outcomes = smoke(cors_origin=ORIGIN)
    assert failed(outcomes) == {}
    skipped = [name for name, outcome in outcomes.items() if outcome.status == "skipped"]
    assert skipped == ["other models", "experiment", "job", "jobs of other models", "throttling"]


def test_every_further_model_is_served_under_its_name(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.others = {"a": "a", "b": "b"}
    outcome = smoke()["other models"]
    assert (outcome.status, outcome.detail) == ("passed", "a, b")
    fake.others = {"a": "a", "b": "m"}
    assert failed(smoke())["other models"] == "v1/models/b/classify was answered by m"


def test_jobs_of_further_models_are_done_by_them(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.others = {"a": "a", "b": "b"}
    assert smoke()["jobs of other models"].detail == "a, b"
    assert smoke(job_manifest=MANIFEST)["jobs of other models"].status == "passed"
    fake.others = {"a": "a", "b": "m"}
    assert failed(smoke(job_manifest=MANIFEST))["jobs of other models"] == "a job of v1/models/b/jobs was done by m"


def test_a_missing_route_of_jobs_of_a_model_fails(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.others = {"a": "a"}
    fake.faults.append(
        lambda request, response: problem(404, "not_found") if request.url.path.endswith("/a/jobs") else response
    )
    assert list(failed(smoke())) == ["jobs of other models"]


def test_an_experiment_is_checked_and_golden_images_go_to_the_model_of_the_card(
    smoke: Smoke, fake: FakeEndpoint
) -> None:
    assert smoke()["experiment"].status == "skipped"
    fake.others, fake.assignments, fake.assigned_model = {"b": "b"}, ["size=large"], "b"
    paths: list[str] = []

    def record(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        paths.append(request.url.path.removeprefix("/live"))
        # The model of the other arm answers otherwise.
        if "X-Experiment" in response.headers and "label" in response.json():
            label, *_ = (answer := response.json())["scores"]
            body = {**answer, "probability": 0.6, "scores": {**answer["scores"], label: 0.6}}
            return httpx.Response(200, json=body, headers=response.headers)
        return response

    fake.faults.append(record)
    outcomes = smoke()
    assert failed(outcomes) == {}
    assert outcomes["experiment"].detail == "size=large, b"
    assert paths.count("/v1/models/m/classify") >= 2
    assert "/v1/models/m/classify/batch" in paths


@pytest.mark.parametrize(
    ("assignments", "answering", "sentence"),
    [
        (["size=a", "size=b"], "b", "the same request got size=b and then size=a"),
        (["size a"], "b", "X-Experiment is 'size a' and not experiment=arm"),
        (["size=a"], "unknown", "size=a was answered by unknown, which is not of GET v1/models"),
    ],
)
def test_a_faulty_experiment_fails_its_check(
    smoke: Smoke, fake: FakeEndpoint, assignments: list[str], answering: str, sentence: str
) -> None:
    fake.others, fake.assignments, fake.assigned_model = {"b": "b"}, assignments, answering
    assert sentence in failed(smoke())["experiment"]


def test_a_named_model_that_takes_part_in_the_experiment_fails(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.others, fake.assignments = {"b": "b"}, ["size=a"]

    def assign(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if request.url.path.endswith("/v1/models/m/classify"):
            response.headers["X-Experiment"] = "size=a"
        return response

    fake.faults.append(assign)
    assert "v1/models/m/classify takes part in the experiment" in failed(smoke())["experiment"]


def test_a_job_of_another_caller_must_be_unknown(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.faults.append(
        lambda request, response: (
            httpx.Response(200, json={"jobs": []}) if request.url.path.endswith("/redrive") else response
        )
    )
    assert list(failed(smoke())) == ["unknown job"]


@pytest.mark.parametrize(
    ("state", "succeeded", "failure"),
    [
        ("succeeded", 2, None),
        ("succeeded", 1, "1 of 2 images were classified"),
        ("failed", 2, "the job own is failed: None"),
    ],
)
def test_a_job_over_a_manifest_classifies_all_its_images(
    smoke: Smoke, fake: FakeEndpoint, state: str, succeeded: int, failure: str | None
) -> None:
    fake.job_state, fake.job_summary = state, {"images": 2, "succeeded": succeeded}
    outcome = smoke(job_manifest=MANIFEST)["job"]
    assert (outcome.status, outcome.detail) == (("failed", failure) if failure else ("passed", "2 images"))


def test_a_drift_of_the_probability_fails_naming_the_golden_case(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.probability = 0.7
    failures = failed(smoke())
    assert {"golden: curly.jpg", "golden: straight.jpg", "batch"} == set(failures)
    assert "golden case curly.jpg: curly with probability 0.7000 instead of 0.9000" in failures["golden: curly.jpg"]


def test_a_wrong_label_fails_naming_the_golden_case(smoke: Smoke, fake: FakeEndpoint, model: Path) -> None:
    fake.images[(model / "golden" / "straight.jpg").read_bytes()] = "curly"
    assert failed(smoke())["golden: straight.jpg"] == "golden case straight.jpg: curly (0.9000) instead of straight"


def test_another_version_fails_the_model_check(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.version = "2.0.0"
    assert "serves m 2.0.0, the card is of m 1.0.0" in failed(smoke())["model"]


@pytest.mark.parametrize(
    ("check", "path", "replacement"),
    [
        ("health", "/v1/health", httpx.Response(503, text="down")),
        ("credentials missing", "/v1/models", httpx.Response(200, json={"models": []})),
        ("not an image", "/v1/classify", problem(500, "internal_error")),
        ("not an image", "/v1/classify", problem(200, "unsupported_media_type")),
        ("truncated image", "/v1/classify", problem(200, "image_undecodable")),
        ("truncated image", "/v1/classify", problem(422, "unsupported_media_type")),
        ("empty body", "/v1/classify", problem(500, "request_invalid")),
        ("invalid JSON", "/v1/classify", problem(500, "request_invalid")),
        ("body too large", "/v1/classify", problem(200, "request_too_large")),
        ("credentials invalid", "/v1/models", problem(200, "api_key_invalid")),
        ("unknown route", "/v1/there-is-no-such-route", httpx.Response(403, json={"message": "Forbidden"})),
        ("openapi", "/openapi.json", httpx.Response(200, json={"paths": {}}, headers={"ETag": '"e"'})),
        ("page", "/", httpx.Response(200, text="<html>", headers={"Content-Type": "text/html"})),
        ("upload", "/v1/uploads", problem(500, "internal_error")),
        ("jobs", "/v1/jobs", httpx.Response(200, json={"jobs": None, "next": None})),
        ("rejected jobs", "/v1/jobs", httpx.Response(202, json={"id": "own"})),
        ("batch", "/v1/classify/batch", httpx.Response(200, json={"results": []})),
        ("body too large", "/v1/classify", httpx.Response(413, text="too large")),
        ("form", "/v1/classify", httpx.Response(200, json=["unexpected"])),
    ],
)
def test_a_fault_fails_the_check_for_it(
    check: str, path: str, replacement: httpx.Response, smoke: Smoke, fake: FakeEndpoint
) -> None:
    def fault(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if request.url.path != f"/live{path}":
            return response
        return httpx.Response(replacement.status_code, headers=replacement.headers, content=replacement.content)

    fake.faults.append(fault)
    assert check in failed(smoke())


@pytest.mark.parametrize("name", ["none", "image/jpg", "text/plain", "application/x-www-form-urlencoded"])
def test_a_media_type_that_is_rejected_fails_its_check(name: str, smoke: Smoke, fake: FakeEndpoint) -> None:
    def fault(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        rejected = request.headers.get("content-type", "none") == name and request.url.path == "/live/v1/classify"
        return problem(415, "unsupported_media_type") if rejected else response

    fake.faults.append(fault)
    assert f"media type: {name}" in failed(smoke())


@pytest.mark.parametrize(
    ("missing", "passes"), [("/v1/jobs", True), ("/v1/models/{name}", True), ("/v1/classify", False)]
)
def test_paths_of_a_feature_that_is_off_may_be_missing(
    missing: str, passes: bool, smoke: Smoke, fake: FakeEndpoint
) -> None:
    paths = {path: value for path, value in DOCUMENT["paths"].items() if not path.startswith(missing)}
    assert len(paths) < len(DOCUMENT["paths"])

    def fault(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if request.url.path != "/live/openapi.json" or response.status_code != 200:
            return response
        return httpx.Response(200, json={**DOCUMENT, "paths": paths}, headers={"ETag": '"e"'})

    fake.faults.append(fault)
    assert ("openapi" not in failed(smoke())) is passes


def test_uploads_that_are_off_are_skipped_with_the_reason(smoke: Smoke, fake: FakeEndpoint) -> None:
    fake.uploads = False
    outcome = smoke()["upload"]
    assert (outcome.status, "inputs.uploads.enabled" in outcome.detail) == ("skipped", True)


def test_an_origin_outside_the_allow_list_fails_cors(smoke: Smoke, fake: FakeEndpoint) -> None:
    def fault(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if origin := request.headers.get("origin"):
            response.headers["Access-Control-Allow-Origin"] = origin
        return response

    fake.faults.append(fault)
    assert "CORS" in failed(smoke())
    assert "CORS" in failed(smoke(cors_origin=ORIGIN))


def test_throttling_is_detected_and_a_rate_that_is_not_in_force_fails(smoke: Smoke, fake: FakeEndpoint) -> None:
    assert "none of 30 requests" in failed(smoke(throttle_requests=30))["throttling"]

    def fault(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        fake.throttle_after = fake.requests + 5 if "origin" in request.headers else fake.throttle_after
        return response

    fake.faults.append(fault)
    outcomes = smoke(throttle_requests=30, max_p95_ms=10_000)
    assert outcomes["throttling"].detail.startswith("25 of 30 got 429")


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (problem(503, "service_unavailable", **{"Retry-After": "1"}), "none of 30 requests"),
        (problem(503, "service_unavailable"), "the 503 has no Retry-After"),
        (problem(500, "internal_error", **{"Retry-After": "1"}), "HTTP 500 instead of 429 or 503"),
    ],
)
def test_other_responses_to_a_burst(response: httpx.Response, failure: str, smoke: Smoke, fake: FakeEndpoint) -> None:
    answered = 0

    def fault(request: httpx.Request, original: httpx.Response) -> httpx.Response:
        nonlocal answered
        if request.url.path != "/live/v1/models" or request.headers.get("x-api-key") != KEY:
            return original
        answered += 1
        # The checks before the burst ask for the model and the limits.
        return (
            original
            if answered <= 2
            else httpx.Response(response.status_code, headers=response.headers, content=response.content)
        )

    fake.faults.append(fault)
    assert failure in failed(smoke(throttle_requests=30))["throttling"]


def test_a_slow_endpoint_fails_its_limit(smoke: Smoke) -> None:
    assert "above 0 ms" in failed(smoke(max_p95_ms=0))["latency"]


def test_no_connection_is_a_failure_of_each_check_and_no_traceback(model: Path) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    endpoint = Endpoint(URL, ApiKey(KEY), transport=httpx.MockTransport(fail))
    card = cards.read(model)
    outcomes = execute(Run(endpoint, card), all_checks(card))
    assert {outcome.status for outcome in outcomes} == {"failed", "skipped"}
    assert "had no HTTP response: ConnectError" in outcomes[0].detail


def test_machine_readable_reports_name_failures(smoke: Smoke, fake: FakeEndpoint, model: Path) -> None:
    fake.probability = 0.5
    outcomes = list(smoke().values())
    run = Run(Endpoint(URL, ApiKey(KEY)), cards.read(model))
    suite = ET.fromstring(report.as_junit(run, outcomes)).find("testsuite")
    assert suite is not None
    failures = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failures == ["golden: curly.jpg", "golden: straight.jpg", "batch"]
    assert suite.get("failures") == "3"
    document = json.loads(report.as_json(run, outcomes))
    assert document["passed"] is False
    assert [check["name"] for check in document["checks"] if check["status"] == "failed"] == failures
    assert KEY not in report.as_json(run, outcomes)


@pytest.mark.parametrize("member", ["type", "title", "status", "detail", "code", "request_id"])
def test_a_problem_that_lacks_a_member_fails(member: str, smoke: Smoke, fake: FakeEndpoint) -> None:
    def fault(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        if response.headers.get("content-type") != "application/problem+json":
            return response
        body = {name: value for name, value in response.json().items() if name != member}
        headers = {name: response.headers[name] for name in ("content-type", "x-request-id")}
        return httpx.Response(response.status_code, json=body, headers=headers)

    fake.faults.append(fault)
    assert f"the problem lacks {member}" in failed(smoke())["not an image"]


@pytest.mark.parametrize(("probability", "code"), [(0.9, 0), (0.5, 1)])
def test_one_failed_check_is_the_exit_code(
    probability: float, code: int, model: Path, fake: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.probability, fake.uploads = probability, False
    monkeypatch.setattr(command, "Endpoint", partial(Endpoint, transport=httpx.MockTransport(fake)))
    result = CliRunner().invoke(command.app, ["--url", URL, "--key", KEY, "--model", str(model)])
    assert result.exit_code == code, result.output


def test_percentiles() -> None:
    assert percentiles([float(n) for n in range(1, 101)]) == {"p50": 50.5, "p95": 95.05, "p99": 99.01}
    assert percentiles([7.0])["p99"] == 7.0
