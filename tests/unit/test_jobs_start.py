"""Start of bulk jobs: estimates, mistakes in requests, and idempotency keys."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from bulk_fakes import FUNCTION, RESULTS, FakeBucketStore
from events import body_of, rest
from jobs_calls import MANIFEST, Jobs
from loupe.bulk.keys import failures_key
from loupe.errors import RequestInvalid
from loupe.http.envelope import unwrap
from loupe.jobs.actions import START_DEADLINE_SECONDS
from loupe.jobs.request import JobRules, JobSource, job_from_http
from loupe.jobs.source_size import SAMPLE_BYTES
from loupe.sources.s3 import S3Location, S3Rules


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


def test_the_longest_address_that_s3_allows_is_read() -> None:
    rules = JobRules(S3Rules((S3Location("b" * 63),)), RESULTS, "", 20)
    address = f"s3://{'b' * 63}/{'k' * 1018}.jsonl"

    def source(address: str) -> JobSource:
        return job_from_http(unwrap(rest(path="/v1/jobs", body=json.dumps({"manifest": address}))), rules).source

    assert source(address).key == "k" * 1018 + ".jsonl"
    with pytest.raises(RequestInvalid, match="must be the address"):
        source(address.replace("k.", "kk."))


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
        ({"manifest": "s3://photos/wide.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/wide-unmarked.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/wide.csv"}, "manifest_invalid"),
        ({"manifest": "s3://photos/later-broken.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/later-latin.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/nan.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/one-array.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/blank.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://photos/blank-line.csv"}, "manifest_invalid"),
        ({"manifest": "s3://photos/later-latin.csv"}, "manifest_invalid"),
        ({"manifest": "s3://photos/twice.csv"}, "manifest_invalid"),
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


@pytest.mark.parametrize(
    ("manifest", "detail"),
    [
        ("later-broken.jsonl", "Line 3 of the manifest is not JSON"),
        ("nan.jsonl", "Line 2 of the manifest is not JSON"),
        ("later-latin.csv", "not UTF-8, at byte 12."),
        ("wide.jsonl", "byte order mark"),
        ("twice.csv", "a column twice"),
        ("blank.jsonl", "The first 65,536 bytes of the manifest list no image."),
        ("empty.jsonl", "The manifest is empty"),
    ],
)
def test_a_rejected_manifest_says_where_it_is_wrong(jobs, manifest, detail) -> None:
    assert detail in body_of(jobs.call("POST", "/v1/jobs", {"manifest": f"s3://photos/{manifest}"}))["detail"]


@pytest.mark.parametrize("size", [SAMPLE_BYTES - 1, SAMPLE_BYTES, SAMPLE_BYTES + 1, SAMPLE_BYTES + 40])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_row_or_character_that_the_sample_cuts_off_is_no_mistake(jobs, kind, size) -> None:
    row = {"jsonl": '{"key": "ééééééé.jpg"}\n', "csv": "ééééééé.jpg\n"}[kind].encode()
    beginning = b"key\n" if kind == "csv" else b""
    rows, rest = divmod(size - len(beginning), len(row))
    body = beginning + b" " * (0 if kind == "csv" else rest) + row * rows + (b"x" * rest if kind == "csv" else b"")
    for shift in range(3):
        jobs.s3.objects["photos", f"cut.{kind}"] = beginning + b" " * shift + body[len(beginning) :]
        assert jobs.start({"manifest": f"s3://photos/cut.{kind}"})["estimate"]["images"] == pytest.approx(rows, abs=2)


def test_rows_that_name_no_image_start_a_job(jobs) -> None:
    jobs.s3.objects["photos", "mixed.jsonl"] = b'{"key": "a.jpg"}\n5\n"text"\n{}\n'
    assert jobs.start({"manifest": "s3://photos/mixed.jsonl"})["estimate"]["images"] == 4


def test_the_failed_rows_of_an_own_job_are_a_manifest(jobs) -> None:
    job_id = jobs.start()["id"]
    key = failures_key(job_id)
    jobs.s3.objects[RESULTS, key] = b'{"s3": "s3://photos/a.jpg"}\n'
    manifest = {"manifest": f"s3://{RESULTS}/{key}"}
    assert jobs.input_of(jobs.start(manifest)["id"])["source"] == {"type": "jsonl", "bucket": RESULTS, "key": key}
    assert jobs.code("POST", "/v1/jobs", manifest, caller="key-2") == (422, "s3_not_allowed")
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


def test_requests_without_a_key_start_separate_jobs(jobs) -> None:
    assert jobs.start()["id"] != jobs.start()["id"]


def test_keys_of_two_owners_do_not_meet(jobs) -> None:
    assert jobs.start(key="k")["id"] != jobs.start(key="k", caller="key-2")["id"]


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "é", "a\tb", " a"])
def test_bad_idempotency_keys(jobs, key) -> None:
    assert jobs.code("POST", "/v1/jobs", MANIFEST, key=key) == (400, "request_invalid")


def test_nothing_is_started_that_the_gateway_would_not_wait_for(jobs, monkeypatch) -> None:
    def slow(**arguments: object) -> dict[str, str]:
        jobs.now += timedelta(seconds=START_DEADLINE_SECONDS + 1)
        return {"FunctionVersion": "7"}

    monkeypatch.setattr(jobs.aliases, "get_alias", slow)
    assert jobs.code("POST", "/v1/jobs", MANIFEST) == (503, "jobs_unavailable")
    assert jobs.states.executions == {}
