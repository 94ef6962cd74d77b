"""Bulk jobs with a chosen model: their route, their identity, and the batches that load the model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bulk_fakes import RESULTS, FakeBucketStore, jobs_settings
from events import Context, body_of
from fakes import Opened
from images import RED, jpeg, solid
from jobs_calls import MANIFEST, Jobs
from loupe.bulk.batch import BatchProcessor
from loupe.bulk.invocation import BulkLog, Invocations
from loupe.bulk.store import ResultStore
from loupe.bulk.uploads import UploadProcessor
from loupe.classifier import Classifier
from loupe.errors import NotFound
from loupe.jobs.routes import find_job_route
from loupe.models import Models
from loupe.service import Service
from loupe.sources import Sources
from loupe.sources.s3 import S3Location, S3Object, S3Rules
from loupe.sources.s3_reader import ObjectReader
from test_bulk_entry import start as start_entry
from tinymodel import graph, write_model

MODELS = "tiny,other"
ROUTE = "/v1/models/other/jobs"
RULES = S3Rules((S3Location("photos"),))
JOB = {"id": "0" * 20 + "-" + "1" * 32, "source": {"type": "jsonl", "bucket": "photos", "key": "a.jsonl"}, "top": 5}


@pytest.fixture
def jobs() -> Jobs:
    return Jobs(LOUPE_MODELS=MODELS)


def test_a_job_is_started_with_the_model_of_the_path(jobs) -> None:
    answer = jobs.call("POST", ROUTE, MANIFEST)
    job = body_of(answer)
    assert answer["statusCode"] == 202
    assert job["model"] == "other"
    assert jobs.input_of(job["id"])["model"] == "other"
    assert body_of(jobs.call("GET", f"/v1/jobs/{job['id']}"))["model"] == "other"


def test_the_location_is_relative_to_the_route(jobs) -> None:
    """RFC 3986, 5.2: two segments up from /stage/v1/models/other/jobs is /stage/v1/."""
    answer = jobs.call("POST", ROUTE, MANIFEST)
    assert answer["headers"]["Location"] == f"../../jobs/{body_of(answer)['id']}"


def test_a_job_without_a_model_uses_the_default_by_name(jobs) -> None:
    job = jobs.start()
    assert job["model"] == "tiny"
    assert jobs.input_of(job["id"])["model"] == "tiny"


def test_a_model_that_is_not_served_is_404_and_starts_nothing(jobs) -> None:
    answer = jobs.call("POST", "/v1/models/none/jobs", MANIFEST)
    assert (answer["statusCode"], body_of(answer)["code"]) == (404, "not_found")
    assert "tiny, other" in body_of(answer)["detail"]
    assert jobs.states.executions == {}


@pytest.mark.parametrize("body", [{}, {**MANIFEST, "model": "other"}, {"prefix": "s3://photos/nothing/"}])
def test_the_body_is_that_of_a_job_without_a_model(jobs, body) -> None:
    assert jobs.code("POST", ROUTE, body) == jobs.code("POST", "/v1/jobs", body)
    assert jobs.states.executions == {}


def test_jobs_of_any_model_are_shown_stopped_and_redriven_by_id(jobs) -> None:
    job_id = body_of(jobs.call("POST", ROUTE, MANIFEST))["id"]
    assert body_of(jobs.call("DELETE", f"/v1/jobs/{job_id}"))["state"] == "stopped"
    redriven = body_of(jobs.call("POST", f"/v1/jobs/{job_id}/redrive"))
    assert (redriven["state"], redriven["model"]) == ("running", "other")
    assert [job["id"] for job in body_of(jobs.call("GET", "/v1/jobs"))["jobs"]] == [job_id]


def test_another_model_with_the_same_key_is_a_conflict(jobs) -> None:
    first = body_of(jobs.call("POST", ROUTE, MANIFEST, key="k"))
    assert body_of(jobs.call("POST", ROUTE, MANIFEST, key="k"))["id"] == first["id"]
    assert jobs.code("POST", "/v1/jobs", MANIFEST, key="k") == (409, "job_conflict")
    assert jobs.code("POST", "/v1/models/tiny/jobs", MANIFEST, key="k") == (409, "job_conflict")


def test_the_default_model_named_or_not_is_the_same_request(jobs) -> None:
    first = jobs.start(key="k")
    assert body_of(jobs.call("POST", "/v1/models/tiny/jobs", MANIFEST, key="k"))["id"] == first["id"]


def test_keys_stay_valid_when_a_deployment_gets_its_second_model() -> None:
    before = Jobs()
    first = before.start(key="k")
    assert "model" not in first
    assert "model" not in before.input_of(first["id"])
    after = Jobs(LOUPE_MODELS=MODELS)
    after.states.executions = before.states.executions
    assert after.start(key="k")["id"] == first["id"]


def test_a_deployment_with_one_model_has_no_such_route() -> None:
    single = Jobs()
    answer = single.api.http(single.event("POST", ROUTE, MANIFEST), Context())
    assert (answer["statusCode"], body_of(answer)["code"]) == (404, "not_found")
    assert "/v1/models" not in body_of(answer)["detail"]


def test_the_route_takes_post_and_preflights(jobs) -> None:
    answer = jobs.api.http(jobs.event("GET", ROUTE), Context())
    assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "POST, OPTIONS")
    answer = jobs.api.http(jobs.event("OPTIONS", ROUTE), Context())
    assert (answer["statusCode"], answer["headers"]["Allow"]) == (204, "POST, OPTIONS")


@pytest.mark.parametrize("path", ["/v1/models/other/jobs/x", "/v1/models/jobs", "/v1/models/a/b/jobs", "/v1/models"])
def test_no_other_path_below_models_is_one_of_the_jobs(path) -> None:
    with pytest.raises(NotFound):
        find_job_route("POST", path, models=True)


def test_settings_have_the_models_of_the_deployment() -> None:
    assert jobs_settings(LOUPE_MODELS=MODELS).models == ("tiny", "other")
    assert jobs_settings().models == ()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two models: the second predicts the opposite, with other labels."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny")
    write_model(folder / "other", graph(weight=-4.0), output={"kind": "logit", "labels": ["cold", "warm"]})
    return folder


class Batches:
    """The bulk function's parts over fakes, with the models that were loaded."""

    def __init__(self, folder: Any) -> None:
        self.loaded: list[str] = []

        def create(name: str) -> Service:
            self.loaded.append(name)
            return Service(Classifier.load(folder / name))

        models = Models(folder, ["tiny", "other"], create)
        service = models.service("tiny")
        reader = ObjectReader(RULES, 10**6, FakeBucketStore({("photos", "red.jpg"): jpeg(solid(RED))}))  # type: ignore[arg-type]
        sources, self.results = Sources({S3Object: Opened(reader, RULES)}), FakeBucketStore()
        store, log = ResultStore(RESULTS, self.results), BulkLog("test")
        self.invocations = Invocations(
            BatchProcessor(service, sources, store, log.batch, models),
            UploadProcessor(service, sources, store),
            log,
            restart_seconds=0,
        )

    def run(self, **job: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a batch's result and its row."""
        self.results.objects.clear()
        event = {"BatchInput": {"job": {**JOB, **job}}, "Items": [{"index": 0, "item": {"key": "red.jpg"}}]}
        result = self.invocations.run(event, Context(remaining_ms=30_000))
        return result, json.loads(self.results.objects[RESULTS, result["rows_key"]])


def test_rows_and_result_are_of_the_jobs_model(folder) -> None:
    batches = Batches(folder)
    result, row = batches.run(model="other")
    assert (row["label"], row["model"]["name"]) == ("cold", "other")
    assert (result["labels"], result["model"]["name"]) == ({"cold": 1}, "other")
    result, row = batches.run(model="tiny")
    assert (row["label"], result["model"]["name"]) == ("red", "tiny")


def test_a_model_is_loaded_by_its_first_batch_only(folder, capsys) -> None:
    batches = Batches(folder)
    assert batches.loaded == ["tiny"]
    batches.run(model="tiny")
    assert batches.loaded == ["tiny"]
    capsys.readouterr()
    batches.run(model="other")
    first = json.loads(capsys.readouterr().out)["stages_ms"]["load"]
    batches.run(model="other")
    assert batches.loaded == ["tiny", "other"]
    assert json.loads(capsys.readouterr().out)["stages_ms"]["load"] <= first


def test_a_job_from_before_the_second_model_uses_the_default(folder) -> None:
    _, row = Batches(folder).run()
    assert row["model"]["name"] == "tiny"


def test_a_model_that_this_version_does_not_have_fails_the_batch_for_good(folder) -> None:
    """Its type is none of those that the state machine retries."""
    with pytest.raises(NotFound, match="tiny, other"):
        Batches(folder).run(model="third")


def test_the_bulk_function_reads_its_models_from_the_environment(folder) -> None:
    variables = {"LOUPE_MODELS_DIR": str(folder), "LOUPE_MODEL": "tiny", "LOUPE_MODELS": MODELS}
    event = {"BatchInput": {"job": {**JOB, "model": "third"}}, "Items": [{"index": 0, "item": {"key": "a.jpg"}}]}
    assert start_entry("bulk", event, **variables)["answer"]["errorType"] == "NotFound"


def test_the_bulk_function_of_one_model_does_not_import_the_others(folder) -> None:
    variables = {"LOUPE_MODELS_DIR": str(folder), "LOUPE_MODEL": "tiny"}
    assert "loupe.models" not in start_entry("bulk", {"ping": 1}, **variables)["modules"]
