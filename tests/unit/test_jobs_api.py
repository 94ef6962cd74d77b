"""The routes of bulk jobs: start, idempotency, ownership, listing, stop, redrive, and failures of AWS."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from bulk_fakes import FUNCTION, NOW, RESULTS, FakeAliases, FakeBucketStore, FakeStepFunctions, jobs_settings
from events import Context, body_of, http, rest
from jsonschema import Draft202012Validator
from loupe.bulk.keys import failures_key, rows_prefix, summary_key
from loupe.jobs.actions import JobActions
from loupe.jobs.api import JobsApi
from loupe.jobs.engine import Engine
from loupe.jobs.listing import Cursor, decode_cursor
from loupe.jobs.storage import ResultsBucket

from tools.contract import document

DOCUMENT = document()
MANIFEST = {"manifest": "s3://photos/a.jsonl"}
OBJECTS = {
    ("photos", "a.jsonl"): b'{"key": "a.jpg"}\n' * 120,
    ("photos", "b.csv"): b"key\na.jpg\nb.jpg\n",
    ("photos", "empty.jsonl"): b"",
    ("photos", "header.csv"): b"key\n",
    ("photos", "array.jsonl"): b'["a.jpg"]\n{"key": "b.jpg"}\n',
    ("photos", "broken.jsonl"): b'{"key": "a.jpg"\n{"key": "b.jpg"}\n',
    ("photos", "deep.jsonl"): b"[" * 50_000 + b"\n",
    ("photos", "mark.jsonl"): b'\xef\xbb\xbf{"key": "a.jpg"}\n',
    ("photos", "names.csv"): b"name,size\na.jpg,3\n",
    ("photos", "headless.csv"): b"a.jpg\nb.jpg\n",
    ("photos", "latin.csv"): b"key,gr\xf6\xdfe\na.jpg,3\n",
    ("photos", "quoted.csv"): b'"note, long","key"\r\n"a ""b""",c.jpg\r\n',
    ("photos", "folder/"): b"",
    ("photos", "folder/a.jpg"): b"x",
    ("photos", "folder/b.txt"): b"x",
    ("photos", "folder/c"): b"x",
    ("photos", "notes/a.txt"): b"x",
}


class Jobs:
    """The API over fakes; ``call`` validates each answer against the OpenAPI document."""

    def __init__(self, **settings: str) -> None:
        self.settings = jobs_settings(**settings)
        self.states, self.s3, self.aliases = FakeStepFunctions(), FakeBucketStore(OBJECTS), FakeAliases()
        self.now = NOW
        engine = Engine(self.settings.state_machine_arn, self.states, self.aliases)
        results = ResultsBucket(RESULTS, self.s3, 900)
        actions = JobActions(self.settings, engine, self.s3, results, lambda: self.now)
        self.api = JobsApi(self.settings, engine, actions, results)

    def call(self, method: str, path: str, body: Any = None, *, who: str = "key-1", **options: Any) -> dict[str, Any]:
        event = self.event(method, path, body, who=who, **options)
        answer = self.api.http(event, Context())
        operation = DOCUMENT["paths"].get(event["resource"], {}).get(method.lower())
        if operation is not None:
            response = operation["responses"][str(answer["statusCode"])]
            media = response["content"][answer["headers"]["Content-Type"]]
            schema = {**media["schema"], "components": DOCUMENT["components"]}
            Draft202012Validator(schema).validate(body_of(answer))
            if answer["statusCode"] >= 400:
                assert body_of(answer)["code"] in media["examples"]
        return answer

    def event(
        self, method: str, path: str, body: Any = None, *, who: str = "key-1", key: str | None = None, **options: Any
    ) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        text = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        event = rest(method, path, text, headers, **options)
        event["requestContext"]["identity"] = {"apiKeyId": who}
        parts = path.split("/")
        if len(parts) > 3:
            event["resource"] = "/".join([*parts[:3], "{id}", *parts[4:]])
        return event

    def start(self, body: Any = None, **options: Any) -> dict[str, Any]:
        answer = self.call("POST", "/v1/jobs", MANIFEST if body is None else body, **options)
        assert answer["statusCode"] == 202, answer["body"]
        return body_of(answer)

    def code(self, *arguments: Any, **options: Any) -> tuple[int, str]:
        answer = self.call(*arguments, **options)
        return answer["statusCode"], body_of(answer).get("code", "")

    def input_of(self, job_id: str) -> dict[str, Any]:
        return json.loads(self.states.executions[job_id]["input"])["job"]


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def test_a_job_starts_with_everything_that_the_state_machine_needs(jobs) -> None:
    answer = jobs.call("POST", "/v1/jobs", {**MANIFEST, "top": "all", "max_concurrency": 3})
    job = body_of(answer)
    assert answer["headers"]["Location"] == f"jobs/{job['id']}"
    assert job["state"] == "running"
    started = jobs.input_of(job["id"])
    assert started["source"] == {"type": "jsonl", "bucket": "photos", "key": "a.jsonl"}
    assert (started["top"], started["max_concurrency"], started["tolerated_failure_percentage"]) == ("all", 3, 5.0)
    assert started["function"] == f"{FUNCTION}:7"
    assert started["results"] == {"bucket": RESULTS, "prefix": f"jobs/{job['id']}/"}


def test_the_estimate_counts_images_batches_time_and_cost(jobs) -> None:
    estimate = jobs.start()["estimate"]
    assert (estimate["images"], estimate["exact"], estimate["batches"]) == (120, True, 3)
    # One round of three batches of 50 images at 0.02 s, and the start.
    assert estimate["seconds"] == 16.0
    assert estimate["usd"] == pytest.approx(120 * 4e-7 + 3 * 6e-5 + 120 * 0.02 * 3e-5, abs=1e-6)
    assert jobs.start({**MANIFEST, "max_concurrency": 1})["estimate"]["seconds"] == 18.0


def test_a_large_manifest_is_estimated_from_its_beginning(jobs) -> None:
    row = b'{"key": "photos/number-00000000.jpg"}\n'
    jobs.s3.objects["photos", "large.jsonl"] = row * 1_000_000
    size = jobs.start({"manifest": "s3://photos/large.jsonl"})["estimate"]
    assert size["exact"] is False
    assert size["images"] == pytest.approx(1_000_000, rel=0.01)
    assert max(arguments["Range"] for name, arguments in jobs.s3.calls if name == "get_object") == "bytes=0-65535"


def test_a_csv_manifest_has_a_header(jobs) -> None:
    job = jobs.start({"manifest": "s3://photos/b.csv"})
    assert job["estimate"]["images"] == 2
    assert jobs.input_of(job["id"])["source"]["type"] == "csv"
    assert jobs.start({"manifest": "s3://photos/quoted.csv"})["estimate"]["images"] == 1


def test_a_prefix_counts_images_only(jobs) -> None:
    job = jobs.start({"prefix": "s3://photos/folder/"})
    assert (job["estimate"]["images"], job["estimate"]["exact"]) == (2, True)
    assert jobs.input_of(job["id"])["source"] == {"type": "prefix", "bucket": "photos", "prefix": "folder/"}


def test_a_whole_bucket_is_a_prefix(jobs) -> None:
    source = jobs.input_of(jobs.start({"prefix": "s3://photos/"})["id"])["source"]
    assert source == {"type": "prefix", "bucket": "photos", "prefix": ""}


def test_the_listing_of_a_large_prefix_is_bounded(jobs) -> None:
    for number in range(6001):
        jobs.s3.objects["photos", f"many/{number:05}.jpg"] = b""
    estimate = jobs.start({"prefix": "s3://photos/many/"})["estimate"]
    assert (estimate["images"], estimate["exact"]) == (5000, False)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "request_invalid"),
        (b"[]", "request_invalid"),
        (b'{"manifest": "s3://photos/a.jsonl", "manifest": "s3://photos/a.jsonl"}', "request_invalid"),
        ({}, "request_invalid"),
        ({**MANIFEST, "prefix": "s3://photos/folder/"}, "request_invalid"),
        ({**MANIFEST, "colour": 1}, "request_invalid"),
        ({**MANIFEST, "top": 0}, "request_invalid"),
        ({**MANIFEST, "top": 1.5}, "request_invalid"),
        ({**MANIFEST, "top": True}, "request_invalid"),
        ({**MANIFEST, "top": 10**400}, "request_invalid"),
        (b'{"manifest": "s3://photos/a.jsonl", "top": 1e999}', "request_invalid"),
        (b'{"manifest": "s3://photos/a.jsonl", "tolerated_failure_percentage": NaN}', "request_invalid"),
        ({**MANIFEST, "tolerated_failure_percentage": 101}, "request_invalid"),
        ({**MANIFEST, "tolerated_failure_percentage": "5"}, "request_invalid"),
        ({**MANIFEST, "max_concurrency": 21}, "request_invalid"),
        ({**MANIFEST, "max_concurrency": 0}, "request_invalid"),
        ({"manifest": "https://photos/a.jsonl"}, "request_invalid"),
        ({"manifest": "s3://photos/" + "a" * 1025 + ".jsonl"}, "request_invalid"),
        ({"manifest": "s3://photos/a\n.jsonl"}, "request_invalid"),
        ({"manifest": ["s3://photos/a.jsonl"]}, "request_invalid"),
        (json.dumps({"manifest": "s3://photos/" + "a" * 20_000}), "request_invalid"),
        ({"manifest": "s3://photos/a.txt"}, "manifest_invalid"),
        ({"manifest": "s3://photos/jsonl"}, "manifest_invalid"),
        ({"prefix": "s3://photos/folder"}, "manifest_invalid"),
        ({"manifest": "s3://photos/missing.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/empty.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/header.csv"}, "manifest_invalid"),
        ({"manifest": "s3://photos/array.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/broken.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/deep.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/mark.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/names.csv"}, "manifest_invalid"),
        ({"manifest": "s3://photos/headless.csv"}, "manifest_invalid"),
        ({"manifest": "s3://photos/latin.csv"}, "manifest_invalid"),
        ({"prefix": "s3://photos/nothing/"}, "manifest_invalid"),
        ({"prefix": "s3://photos/notes/"}, "manifest_invalid"),
        ({"manifest": "s3://elsewhere/a.jsonl"}, "s3_not_allowed"),
        ({"manifest": "s3://archive/2025/a.jsonl"}, "s3_not_allowed"),
        ({"manifest": "s3://archive/2026/../2025/a.jsonl"}, "s3_not_allowed"),
        ({"prefix": "s3://archive/"}, "s3_not_allowed"),
        # Keys of uploads are secrets of those who uploaded.
        ({"prefix": "s3://loupe-uploads/uploads/"}, "s3_not_allowed"),
    ],
)
def test_mistakes_of_a_request_start_nothing(jobs, body, code) -> None:
    status, answered = jobs.code("POST", "/v1/jobs", body)
    assert answered == code
    assert status in (400, 422)
    assert jobs.states.executions == {}


def test_the_failed_rows_of_an_own_job_are_a_manifest(jobs) -> None:
    job_id = jobs.start()["id"]
    key = failures_key(job_id)
    jobs.s3.objects[RESULTS, key] = b'{"s3": "s3://photos/a.jpg"}\n'
    manifest = {"manifest": f"s3://{RESULTS}/{key}"}
    assert jobs.input_of(jobs.start(manifest)["id"])["source"] == {"type": "jsonl", "bucket": RESULTS, "key": key}
    assert jobs.code("POST", "/v1/jobs", manifest, who="key-2") == (422, "s3_not_allowed")
    for other in (f"jobs/{job_id}/rows/failures.jsonl", f"jobs/{job_id}/x/../failures.jsonl", "failures.jsonl"):
        body = {"manifest": f"s3://{RESULTS}/{other}"}
        assert jobs.code("POST", "/v1/jobs", body) == (422, "s3_not_allowed")


def test_a_forbidden_manifest_looks_like_a_missing_one(jobs) -> None:
    missing = body_of(jobs.call("POST", "/v1/jobs", {"manifest": "s3://photos/missing.jsonl"}))
    jobs.s3.fail["get_object"] = ["AccessDenied"]
    assert body_of(jobs.call("POST", "/v1/jobs", MANIFEST)) == missing


def test_a_manifest_above_the_readers_limit_is_rejected(jobs) -> None:
    jobs.s3.get_object = lambda **_: {  # type: ignore[method-assign]
        "Body": FakeBucketStore({("a", "a"): b"x\n"}).get_object(Bucket="a", Key="a")["Body"],
        "ContentRange": "bytes 0-1/10000000001",
    }
    assert jobs.code("POST", "/v1/jobs", MANIFEST) == (422, "manifest_invalid")


def test_the_same_key_and_request_return_the_same_job(jobs) -> None:
    first = jobs.start(key="k")
    jobs.aliases.version = "8"  # a release between the two: another input, but no other request
    again = jobs.start({**MANIFEST, "top": 5, "tolerated_failure_percentage": 5}, key="k")
    assert again["id"] == first["id"]
    assert again["function_version"] == "7"
    assert len(jobs.states.executions) == 1


def test_the_same_key_returns_a_job_that_has_ended_and_whose_manifest_is_gone(jobs) -> None:
    first = jobs.start(key="k")
    jobs.states.end(first["id"], "SUCCEEDED")
    del jobs.s3.objects["photos", "a.jsonl"]
    again = jobs.start(key="k")
    assert (again["id"], again["state"]) == (first["id"], "succeeded")


def test_another_request_with_the_same_key_is_a_conflict(jobs) -> None:
    jobs.start(key="k")
    assert jobs.code("POST", "/v1/jobs", {**MANIFEST, "top": 1}, key="k") == (409, "job_conflict")


def test_two_requests_at_once_with_one_key_start_one_job(jobs) -> None:
    first = jobs.start(key="k")
    jobs.aliases.version = "8"
    # The second one's first look comes before the job is there.
    jobs.states.fail["describe_execution"] = ["ExecutionDoesNotExist"]
    assert jobs.start(key="k")["id"] == first["id"]
    jobs.states.fail["describe_execution"] = ["ExecutionDoesNotExist"]
    assert jobs.code("POST", "/v1/jobs", {**MANIFEST, "top": 1}, key="k") == (409, "job_conflict")


def test_a_name_that_is_taken_but_not_visible_yet_is_tried_again(jobs) -> None:
    first = jobs.start(key="k")
    jobs.states.end(first["id"], "SUCCEEDED")
    jobs.states.hidden.add(first["id"])
    answer = jobs.call("POST", "/v1/jobs", MANIFEST, key="k")
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "2")


def test_requests_without_a_key_are_jobs_of_their_own(jobs) -> None:
    assert jobs.start()["id"] != jobs.start()["id"]


def test_keys_of_two_owners_do_not_meet(jobs) -> None:
    assert jobs.start(key="k")["id"] != jobs.start(key="k", who="key-2")["id"]


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "é", "a\tb", " a"])
def test_bad_idempotency_keys(jobs, key) -> None:
    assert jobs.code("POST", "/v1/jobs", MANIFEST, key=key) == (400, "request_invalid")


def test_a_caller_sees_and_stops_only_its_own_jobs(jobs) -> None:
    job_id = jobs.start()["id"]
    unknown = "f" * 20 + "-" + "0" * 32
    for method, end in (("GET", ""), ("DELETE", ""), ("POST", "/redrive"), ("GET", "/rows")):
        calls = len(jobs.states.calls)
        others = jobs.call(method, f"/v1/jobs/{job_id}{end}", who="key-2")
        assert (others["statusCode"], body_of(others)["code"]) == (404, "job_not_found")
        assert body_of(others) == body_of(jobs.call(method, f"/v1/jobs/{unknown}{end}", who="key-2"))
        assert len(jobs.states.calls) == calls
    assert jobs.states.executions[job_id]["status"] == "RUNNING"
    assert body_of(jobs.call("GET", "/v1/jobs", who="key-2"))["jobs"] == []
    assert jobs.call("GET", f"/v1/jobs/{job_id}")["statusCode"] == 200


def test_a_request_without_identity_owns_nothing(jobs) -> None:
    event = jobs.event("GET", "/v1/jobs")
    del event["requestContext"]["identity"]
    answer = jobs.api.http(event, Context())
    assert (answer["statusCode"], body_of(answer)["code"]) == (403, "caller_unknown")


@pytest.mark.parametrize("job_id", ["x", "..", "a" * 20, "A" * 20 + "-" + "0" * 32, "0" * 10_000, "%2e"])
def test_ids_that_cannot_be(jobs, job_id) -> None:
    assert jobs.code("GET", f"/v1/jobs/{job_id}") == (404, "job_not_found")


def test_progress_is_approximate_while_the_job_runs(jobs) -> None:
    job_id = jobs.start()["id"]
    assert body_of(jobs.call("GET", f"/v1/jobs/{job_id}"))["progress"] is None
    jobs.states.count(job_id, succeeded=600, running=100, pending=300, total=1000)
    jobs.now = jobs.states.executions[job_id]["startDate"] + timedelta(seconds=60)
    progress = body_of(jobs.call("GET", f"/v1/jobs/{job_id}"))["progress"]
    assert (progress["processed"], progress["pending"], progress["approximate"]) == (600, 300, True)
    assert progress["images_per_second"] == 10.0
    assert progress["expected_end"] == "2026-11-23T09:01:41Z"


def test_progress_of_a_stopped_job_has_no_end(jobs) -> None:
    job_id = jobs.start()["id"]
    jobs.states.count(job_id, succeeded=600, aborted=400, total=1000)
    jobs.states.end(job_id, "ABORTED")
    job = body_of(jobs.call("GET", f"/v1/jobs/{job_id}"))
    assert (job["state"], job["progress"]["in_failed_batches"], job["progress"]["expected_end"]) == (
        "stopped",
        400,
        None,
    )
    assert job["progress"]["approximate"] is False


SUMMARY: dict[str, Any] = {
    **DOCUMENT["paths"]["/v1/jobs/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]["done"][
        "value"
    ]["summary"]
}


def test_a_job_that_has_ended_has_its_summary_and_links(jobs) -> None:
    job_id = jobs.start()["id"]
    jobs.states.end(job_id, "SUCCEEDED")
    jobs.s3.objects[RESULTS, summary_key(job_id)] = json.dumps(SUMMARY).encode()
    job = body_of(jobs.call("GET", f"/v1/jobs/{job_id}"))
    assert job["summary"]["failed"] == SUMMARY["failed"]
    assert job["results"]["summary_url"].startswith(f"https://{RESULTS}.s3.amazonaws.com/jobs/{job_id}/summary.json")
    assert job["results"]["failures_url"]
    clean = {**SUMMARY, "failures": {**SUMMARY["failures"], "file": None}}
    jobs.s3.objects[RESULTS, summary_key(job_id)] = json.dumps(clean).encode()
    assert body_of(jobs.call("GET", f"/v1/jobs/{job_id}"))["results"]["failures_url"] is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("TooManyFailedImages", "too_many_failed_images"),
        ("States.ItemReaderFailed", "source_unreadable"),
        ("States.ExceedToleratedFailureThreshold", "batch_failed"),
        ("States.ResultWriterFailed", "results_unwritable"),
        ("States.Runtime", "job_failed"),
        (None, "job_failed"),
    ],
)
def test_a_failed_job_has_its_cause_and_remedy(jobs, error, code) -> None:
    job_id = jobs.start()["id"]
    jobs.states.end(job_id, "FAILED", error)
    jobs.states.executions[job_id]["cause"] = "arn:aws:lambda:eu-west-1:111122223333:function:loupe-bulk:7"
    job = body_of(jobs.call("GET", f"/v1/jobs/{job_id}"))
    assert job["error"]["code"] == code
    assert "arn:" not in json.dumps(job)
    wanted = "failures.jsonl" if code == "too_many_failed_images" else f"/v1/jobs/{job_id}/redrive"
    assert wanted in job["error"]["detail"]


def test_a_job_is_stopped_once(jobs) -> None:
    job_id = jobs.start()["id"]
    assert body_of(jobs.call("DELETE", f"/v1/jobs/{job_id}"))["state"] == "stopped"
    ended = jobs.states.executions[job_id]["stopDate"]
    assert body_of(jobs.call("DELETE", f"/v1/jobs/{job_id}"))["state"] == "stopped"
    assert jobs.states.executions[job_id]["stopDate"] == ended
    assert [name for name, _ in jobs.states.calls].count("stop_execution") == 1


@pytest.mark.parametrize("status", ["FAILED", "ABORTED", "TIMED_OUT"])
def test_unsuccessful_jobs_are_redriven(jobs, status) -> None:
    job_id = jobs.start()["id"]
    jobs.states.end(job_id, status)
    answer = jobs.call("POST", f"/v1/jobs/{job_id}/redrive")
    assert (answer["statusCode"], body_of(answer)["state"], body_of(answer)["redrives"]) == (202, "running", 1)
    assert body_of(jobs.call("GET", f"/v1/jobs/{job_id}"))["redrives"] == 1


@pytest.mark.parametrize(
    ("status", "error", "instead"),
    [
        ("RUNNING", None, "stop it first"),
        ("SUCCEEDED", None, "Start a new job"),
        ("FAILED", "TooManyFailedImages", "failures.jsonl"),
    ],
)
def test_other_jobs_are_not_redriven(jobs, status, error, instead) -> None:
    job_id = jobs.start()["id"]
    jobs.states.end(job_id, status, error)
    answer = jobs.call("POST", f"/v1/jobs/{job_id}/redrive")
    assert (answer["statusCode"], body_of(answer)["code"]) == (409, "job_not_redrivable")
    assert instead in body_of(answer)["detail"]
    assert "redrive_execution" not in [name for name, _ in jobs.states.calls]


def test_a_job_that_step_functions_no_longer_redrives(jobs) -> None:
    job_id = jobs.start()["id"]
    jobs.states.end(job_id, "FAILED")
    jobs.states.fail["redrive_execution"] = ["ExecutionNotRedrivable"]
    assert jobs.code("POST", f"/v1/jobs/{job_id}/redrive") == (409, "job_not_redrivable")


def walk(jobs: Jobs, who: str, **query: str) -> list[list[str]]:
    pages, token = [], None
    for _ in range(50):
        answer = jobs.call("GET", "/v1/jobs", who=who, query={**query, **({"next": token} if token else {})})
        assert answer["statusCode"] == 200, answer["body"]
        page = body_of(answer)
        pages.append([job["id"] for job in page["jobs"]])
        token = page["next"]
        if token is None:
            return pages
    raise AssertionError("the listing has no end")


def test_listing_pages_through_the_owners_jobs_alone(jobs) -> None:
    mine = []
    for number in range(23):
        mine.append(jobs.start()["id"])
        for _ in range(number % 3):
            jobs.start(who="key-2")
    jobs.states.page_size = 10
    pages = walk(jobs, "key-1", limit="4")
    assert [job for page in pages for job in page] == mine[::-1]
    assert max(map(len, pages)) == 4


def test_listing_is_bounded_where_others_have_many_jobs(jobs) -> None:
    oldest = jobs.start()["id"]
    for _ in range(60):
        jobs.start(who="key-2")
    jobs.states.page_size = 10
    jobs.states.calls.clear()
    first = body_of(jobs.call("GET", "/v1/jobs"))
    assert (first["jobs"], [name for name, _ in jobs.states.calls]) == ([], ["list_executions"] * 3)
    assert walk(jobs, "key-1")[-1] == [oldest]


def test_listing_by_status(jobs) -> None:
    running, done = jobs.start()["id"], jobs.start()["id"]
    jobs.states.end(done, "SUCCEEDED")
    assert walk(jobs, "key-1", status="running") == [[running]]
    assert walk(jobs, "key-1", status="succeeded") == [[done]]


def test_jobs_that_start_while_a_listing_is_paged_repeat_nothing(jobs) -> None:
    ids = [jobs.start()["id"] for _ in range(6)]
    first = body_of(jobs.call("GET", "/v1/jobs", query={"limit": "3"}))
    jobs.start()
    second = body_of(jobs.call("GET", "/v1/jobs", query={"limit": "3", "next": first["next"]}))
    assert [job["id"] for job in first["jobs"] + second["jobs"]] == ids[::-1]


@pytest.mark.parametrize(
    "query",
    [{"status": "RUNNING"}, {"limit": "0"}, {"limit": "101"}, {"limit": "0100"}, {"limit": "x"}, {"limit": "٣"},
     {"next": "!"}, {"next": "W251bGwsIG51bGxd!"}, {"next": "bm8"}, {"next": "W10"}, {"next": "A" * 3000},
     {"owner": "key-2"}, {"next": "W1tbW1tb"}],
)  # fmt: skip
def test_bad_list_parameters(jobs, query) -> None:
    assert jobs.code("GET", "/v1/jobs", query=query) == (400, "request_invalid")


@pytest.mark.parametrize("limit", ["1", "100"])
def test_the_limits_of_a_page_are_accepted(jobs, limit) -> None:
    ids = [jobs.start()["id"] for _ in range(2)]
    page = body_of(jobs.call("GET", "/v1/jobs", query={"limit": limit}))
    assert [job["id"] for job in page["jobs"]] == ids[::-1][: int(limit)]


def test_tokens_of_every_length_are_decoded() -> None:
    """The padding of base64, which `next` omits, depends on the length."""
    for length in range(1, 9):
        cursor = Cursor("p" * length, "a")
        assert decode_cursor(cursor.encode()) == cursor


def test_a_forged_or_expired_token_is_the_callers_mistake(jobs) -> None:
    token = Cursor("forged").encode()
    assert jobs.code("GET", "/v1/jobs", query={"next": token}) == (400, "request_invalid")


def test_row_files_are_linked_page_by_page_in_order(jobs) -> None:
    job_id = jobs.start()["id"]
    names = [f"{start:09}-{start + 9:09}-{start:016x}.jsonl" for start in range(0, 1500, 10)]
    for name in names:
        jobs.s3.objects[RESULTS, rows_prefix(job_id) + name] = b"{}\n"
    first = body_of(jobs.call("GET", f"/v1/jobs/{job_id}/rows"))
    second = body_of(jobs.call("GET", f"/v1/jobs/{job_id}/rows", query={"next": first["next"]}))
    assert [file["name"] for file in first["files"] + second["files"]] == names
    assert (len(first["files"]), second["next"]) == (100, None)
    assert jobs.code("GET", f"/v1/jobs/{job_id}/rows", query={"next": "../../secret"}) == (400, "request_invalid")


@pytest.mark.parametrize(
    ("operation", "failure"),
    [
        ("start_execution", "ThrottlingException"),
        ("start_execution", "ExecutionLimitExceeded"),
        ("start_execution", "ServiceUnavailable"),
        ("start_execution", ConnectTimeoutError(endpoint_url="https://states")),
        ("start_execution", ReadTimeoutError(endpoint_url="https://states")),
        ("start_execution", "KmsThrottlingException"),
    ],
)
def test_throttling_of_step_functions_is_503_with_retry_after(jobs, operation, failure) -> None:
    jobs.states.fail[operation] = [failure]
    answer = jobs.call("POST", "/v1/jobs", MANIFEST)
    assert (answer["statusCode"], body_of(answer)["code"]) == (503, "jobs_unavailable")
    assert answer["headers"]["Retry-After"] == "2"


@pytest.mark.parametrize("operation", ["describe_execution", "list_map_runs", "list_executions", "stop_execution"])
def test_every_call_may_be_throttled(jobs, operation) -> None:
    job_id = jobs.start()["id"]
    jobs.states.fail[operation] = ["ThrottlingException"]
    method, path = {"list_executions": ("GET", "/v1/jobs"), "stop_execution": ("DELETE", f"/v1/jobs/{job_id}")}.get(
        operation, ("GET", f"/v1/jobs/{job_id}")
    )
    assert jobs.code(method, path) == (503, "jobs_unavailable")


@pytest.mark.parametrize("failure", ["SlowDown", ReadTimeoutError(endpoint_url="https://s3")])
def test_s3_that_does_not_answer_is_503(jobs, failure) -> None:
    jobs.s3.fail["get_object"] = [failure]
    assert jobs.code("POST", "/v1/jobs", MANIFEST) == (503, "jobs_unavailable")


def test_missing_permissions_are_our_fault_and_leak_nothing(jobs, capsys) -> None:
    jobs.states.fail["start_execution"] = ["AccessDeniedException"]
    answer = jobs.call("POST", "/v1/jobs", MANIFEST)
    assert (answer["statusCode"], body_of(answer)["code"]) == (500, "internal_error")
    assert "arn" not in answer["body"]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["level"], line["code"], line["cause"]) == ("ERROR", "internal_error", "ClientError")


def test_nothing_of_a_request_is_logged(jobs, capsys) -> None:
    jobs.start({"manifest": "s3://photos/a.jsonl"}, key="secret-key")
    jobs.code("POST", "/v1/jobs", {"manifest": "s3://secret-bucket/a.jsonl"})
    out = capsys.readouterr().out
    assert "secret" not in out
    assert [json.loads(line)["status"] for line in out.splitlines()] == [202, 422]


def test_head_options_and_unknown_routes(jobs) -> None:
    job_id = jobs.start()["id"]
    head = jobs.api.http(jobs.event("HEAD", f"/v1/jobs/{job_id}"), Context())
    assert (head["statusCode"], head["body"]) == (200, "")
    options = jobs.api.http(jobs.event("OPTIONS", f"/v1/jobs/{job_id}"), Context())
    assert (options["statusCode"], options["headers"]["Allow"]) == (204, "GET, DELETE, HEAD, OPTIONS")
    assert jobs.api.http(jobs.event("PUT", "/v1/jobs"), Context())["statusCode"] == 405
    assert jobs.api.http(jobs.event("GET", "/v1/jobs/a/b/c"), Context())["statusCode"] == 404


def test_a_page_of_an_allowed_origin_may_start_and_stop_jobs() -> None:
    jobs = Jobs(LOUPE_CORS_ORIGINS="https://app.example")
    event = jobs.event("OPTIONS", "/v1/jobs/x")
    event["headers"] = {"Origin": "https://app.example"}
    headers = jobs.api.http(event, Context())["headers"]
    assert headers["Access-Control-Allow-Methods"] == "GET, DELETE, HEAD, OPTIONS"
    assert "Idempotency-Key" in headers["Access-Control-Allow-Headers"]
    assert "Location" in headers["Access-Control-Expose-Headers"]


def test_bodies_and_parameters_where_nothing_is_expected(jobs) -> None:
    job_id = jobs.start()["id"]
    assert jobs.code("DELETE", f"/v1/jobs/{job_id}", '{"force": true}') == (400, "request_invalid")
    assert jobs.code("GET", f"/v1/jobs/{job_id}", query={"verbose": "1"}) == (400, "request_invalid")
    assert jobs.call("DELETE", f"/v1/jobs/{job_id}", "{}")["statusCode"] == 200


def test_a_base_path_of_a_custom_domain_and_payload_2_reach_the_same_job() -> None:
    jobs = Jobs(LOUPE_AUTH_MODE="jwt")
    who = {"authorizer": {"jwt": {"claims": {"sub": "alice"}}}}
    start = http("POST", "/v1/jobs", json.dumps(MANIFEST), stage="live", routeKey="POST /v1/jobs")
    start["requestContext"] |= who
    job_id = body_of(jobs.api.http(start, Context()))["id"]
    get = http("GET", f"/v1/jobs/{job_id}", stage="live", routeKey="GET /v1/jobs/{id}")
    get["requestContext"] |= who
    assert jobs.api.http(get, Context())["statusCode"] == 200
    event = jobs.event("GET", f"/v1/jobs/{job_id}")
    event |= {"path": f"/pictures/v1/jobs/{job_id}"}
    event["requestContext"]["authorizer"] = {"sub": "alice", "principalId": "alice"}
    assert jobs.api.http(event, Context())["statusCode"] == 200
