"""The routes of bulk jobs: ownership, progress, listing, stop, redrive, and failures of AWS."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from bulk_fakes import RESULTS
from events import Context, body_of, http
from jobs_calls import DOCUMENT, MANIFEST, Jobs
from loupe.bulk.keys import rows_prefix, summary_key
from loupe.jobs.listing import Cursor, decode_cursor
from loupe.jobs.storage import MAX_SUMMARY_BYTES
from loupe.sources.s3_errors import TRANSIENT_CODES


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def test_a_caller_sees_and_stops_only_its_own_jobs(jobs) -> None:
    job_id = jobs.start()["id"]
    unknown = "f" * 20 + "-" + "0" * 32
    for method, end in (("GET", ""), ("DELETE", ""), ("POST", "/redrive"), ("GET", "/rows")):
        calls = len(jobs.states.calls)
        others = jobs.call(method, f"/v1/jobs/{job_id}{end}", caller="key-2")
        assert (others["statusCode"], body_of(others)["code"]) == (404, "job_not_found")
        assert body_of(others) == body_of(jobs.call(method, f"/v1/jobs/{unknown}{end}", caller="key-2"))
        assert len(jobs.states.calls) == calls
    assert jobs.states.executions[job_id]["status"] == "RUNNING"
    assert body_of(jobs.call("GET", "/v1/jobs", caller="key-2"))["jobs"] == []
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


def test_a_summary_above_the_limit_is_a_fault_and_not_a_missing_one(jobs, capsys) -> None:
    job_id = jobs.start()["id"]
    jobs.states.end(job_id, "SUCCEEDED")
    jobs.s3.objects[RESULTS, summary_key(job_id)] = json.dumps(SUMMARY).encode().ljust(MAX_SUMMARY_BYTES + 1)
    assert jobs.code("GET", f"/v1/jobs/{job_id}") == (500, "internal_error")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cause"] == "ValueError"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("TooManyFailedImages", "too_many_failed_images"),
        ("States.ItemReaderFailed", "source_unreadable"),
        ("States.DataLimitExceeded", "source_unreadable"),
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
    others = {"TooManyFailedImages": "failures.jsonl", "States.DataLimitExceeded": "start a new job"}
    assert others.get(error, f"/v1/jobs/{job_id}/redrive") in job["error"]["detail"]


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


def walk(jobs: Jobs, caller: str, **query: str) -> list[list[str]]:
    pages, token = [], None
    for _ in range(50):
        answer = jobs.call("GET", "/v1/jobs", caller=caller, query={**query, **({"next": token} if token else {})})
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
            jobs.start(caller="key-2")
    jobs.states.page_size = 10
    pages = walk(jobs, "key-1", limit="4")
    assert [job for page in pages for job in page] == mine[::-1]
    assert max(map(len, pages)) == 4


def test_listing_is_bounded_where_others_have_many_jobs(jobs) -> None:
    oldest = jobs.start()["id"]
    for _ in range(60):
        jobs.start(caller="key-2")
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


@pytest.mark.parametrize("text", ["page-\ud800", "page-\n", "page-\x00", "page-\x7f", "page-é", "page-\u2028"])
@pytest.mark.parametrize("part", ["page", "after"])
def test_a_forged_token_with_other_than_printable_ascii_is_not_sent(jobs, part, text) -> None:
    token = Cursor(**{part: text}).encode()
    assert jobs.code("GET", "/v1/jobs", query={"next": token}) == (400, "request_invalid")
    assert jobs.states.calls == []


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


@pytest.mark.parametrize("failure", [*sorted(TRANSIENT_CODES), ReadTimeoutError(endpoint_url="https://s3")])
def test_s3_that_does_not_respond_is_503(jobs, failure) -> None:
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
    caller = {"authorizer": {"owner": "0" * 64}}
    start = http("POST", "/v1/jobs", json.dumps(MANIFEST), stage="live", routeKey="POST /v1/jobs")
    start["requestContext"] |= caller
    job_id = body_of(jobs.api.http(start, Context()))["id"]
    get = http("GET", f"/v1/jobs/{job_id}", stage="live", routeKey="GET /v1/jobs/{id}")
    get["requestContext"] |= caller
    assert jobs.api.http(get, Context())["statusCode"] == 200
    event = jobs.event("GET", f"/v1/jobs/{job_id}")
    event |= {"path": f"/pictures/v1/jobs/{job_id}"}
    event["requestContext"] |= caller
    assert jobs.api.http(event, Context())["statusCode"] == 200
