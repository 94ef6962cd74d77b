"""Bulk jobs through the deployed state machine: one row for each manifest row, whatever is killed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bulk_jobs import Bulk, photo

from localcloud.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployment import Deployed

ITEMS, BROKEN, MISSING = 2000, 50, 10


@pytest.fixture(scope="module")
def bulk(deployed: Deployed) -> Bulk:
    bulk_jobs = Bulk(deployed)
    for number in range(5):
        bulk_jobs.put(f"inputs/photos/{number}.jpg", photo(number * 40))
    bulk_jobs.put("inputs/photos/broken.jpg", photo(1)[:200])
    return bulk_jobs


@pytest.fixture(scope="module")
def stranger(deployed: Deployed) -> Iterator[Bulk]:
    """Another client of the same API."""
    apigateway = deployed.client("apigateway")
    key = apigateway.create_api_key(name="stranger", enabled=True)
    key = apigateway.get_api_key(apiKey=key["id"], includeValue=True)
    (plan,) = apigateway.get_usage_plans()["items"]
    apigateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    yield Bulk(deployed, key["value"])
    apigateway.delete_api_key(apiKey=key["id"])


def keys(count: int) -> list[str]:
    """Keys of a manifest: broken and missing images among good ones, every tenth key twice in a row."""
    named = [f"inputs/photos/{number % 5}.jpg" for number in range(count)]
    for number in range(BROKEN):
        named[number * 31 + 1] = "inputs/photos/broken.jpg"
    for number in range(MISSING):
        named[number * 97 + 5] = "inputs/photos/missing.jpg"
    for number in range(9, count - 1, 10):
        if "photos/broken" not in named[number + 1] and "photos/missing" not in named[number + 1]:
            named[number + 1] = named[number]
    return named


def test_one_row_for_each_manifest_row_while_environments_are_killed(bulk: Bulk) -> None:
    named = keys(ITEMS)
    broken, missing = (sum(word in key for key in named) for word in ("broken", "missing"))
    assert (broken >= BROKEN, missing >= MISSING) == (True, True)
    job = bulk.start(manifest=bulk.manifest("two-thousand.jsonl", ({"key": key} for key in named)))
    kills = 0
    for _ in range(3):
        assert wait_until(lambda: bool(bulk.environments()), 60, interval=0.1)
        bulk.wait_for_more_rows(job)
        if bulk.show(job)["state"] == "running":
            kills += bulk.kill_environment()
    ended = bulk.wait(job)
    assert kills >= 1
    assert ended["state"] == "succeeded", ended
    rows = bulk.rows(job)
    assert [(row["index"], row["key"]) for row in rows] == list(enumerate(named))
    failed = [row for row in rows if "error" in row]
    assert [row["key"] for row in failed] == [key for key in named if "broken" in key or "missing" in key]
    summary = ended["summary"]
    assert (summary["images"], summary["failed"], summary["succeeded"]) == (
        ITEMS, broken + missing, ITEMS - broken - missing,
    )  # fmt: skip
    assert summary["complete"] is True
    assert sum(summary["failures_by_code"].values()) == broken + missing
    assert sum(summary["labels"].values()) == summary["succeeded"]
    progress = ended["progress"]
    assert (progress["processed"], progress["pending"], progress["total"]) == (ITEMS, 0, ITEMS)
    # What failed is a manifest for another job, of the same owner.
    again = bulk.start(
        manifest=f"s3://{bulk.bucket}/jobs/{job}/failures.jsonl", tolerated_failure_percentage=100, max_concurrency=1
    )
    assert bulk.wait(again)["summary"]["failed"] == broken + missing


def test_too_many_failed_images_fail_the_job_with_complete_rows(bulk: Bulk) -> None:
    named = ["inputs/photos/broken.jpg", *(f"inputs/photos/{number}.jpg" for number in range(3))]
    job = bulk.start(
        manifest=bulk.manifest("bad.jsonl", ({"key": key} for key in named)), tolerated_failure_percentage=24
    )
    ended = bulk.wait(job)
    assert ended["state"] == "failed"
    assert (ended["summary"]["failed"], len(bulk.rows(job))) == (1, 4)
    response = bulk.call("POST", f"/v1/jobs/{job}/redrive")
    assert response.status in (202, 409), response.body


def test_the_same_key_and_body_return_the_same_job_and_another_body_conflicts(bulk: Bulk) -> None:
    uri = bulk.manifest("same.jsonl", [{"key": "inputs/photos/1.jpg"}])
    headers = {"Idempotency-Key": "once"}
    job = bulk.start(headers, manifest=uri)
    assert bulk.start(headers, manifest=uri) == job
    assert bulk.wait(job)["state"] == "succeeded"
    assert bulk.start(headers, manifest=uri) == job
    response = bulk.call("POST", "/v1/jobs", {"manifest": uri, "top": 1}, headers)
    assert (response.status, response.json["code"]) == (409, "job_conflict")


def test_a_caller_finds_and_stops_its_own_jobs_only(bulk: Bulk, stranger: Bulk) -> None:
    uri = bulk.manifest("mine.jsonl", [{"key": "inputs/photos/1.jpg"}])
    job = bulk.start(manifest=uri)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/redrive"), ("GET", "/rows")):
        assert stranger.call(method, f"/v1/jobs/{job}{path}").status == 404
    assert stranger.call("GET", "/v1/jobs").json["jobs"] == []
    assert job in [listed["id"] for listed in bulk.call("GET", "/v1/jobs").json["jobs"]]
    failures = {"manifest": f"s3://{bulk.bucket}/jobs/{job}/failures.jsonl"}
    assert stranger.call("POST", "/v1/jobs", failures).json["code"] == "s3_not_allowed"
    bulk.wait(job)


def test_a_stopped_job_ends_as_stopped_and_a_redrive_completes_it(bulk: Bulk) -> None:
    rows = [{"key": f"inputs/photos/{number % 5}.jpg"} for number in range(600)]
    job = bulk.start(manifest=bulk.manifest("long.jsonl", rows), max_concurrency=1)
    assert wait_until(lambda: (bulk.show(job)["progress"] or {}).get("processed", 0) > 0, 60, interval=0.2)
    assert bulk.call("DELETE", f"/v1/jobs/{job}").status in (200, 202)
    stopped = bulk.wait(job)
    assert stopped["state"] in ("stopped", "aborted")
    done = len(bulk.rows(job))
    assert 0 < done < len(rows)
    assert bulk.call("POST", f"/v1/jobs/{job}/redrive").status == 202
    ended = bulk.wait(job)
    assert (ended["state"], ended["redrives"], ended["summary"]["images"]) == ("succeeded", 1, len(rows))
    assert [row["index"] for row in bulk.rows(job)] == list(range(len(rows)))
    response = bulk.call("POST", f"/v1/jobs/{job}/redrive")
    assert (response.status, response.json["code"]) == (409, "job_not_redrivable")


def test_jobs_are_listed_by_status_in_pages(bulk: Bulk) -> None:
    listed: list[str] = []
    query, pages = "limit=2&status=succeeded", 0
    while True:
        page = bulk.call("GET", f"/v1/jobs?{query}").json
        listed += [job["id"] for job in page["jobs"]]
        assert len(page["jobs"]) <= 2
        pages += 1
        if page["next"] is None:
            break
        query = f"limit=2&status=succeeded&next={page['next']}"
    assert len(set(listed)) == len(listed) >= 2
    assert pages >= 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"manifest": "s3://BUCKET/inputs/none.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://BUCKET/inputs/empty.jsonl"}, "manifest_invalid"),
        ({"manifest": "s3://elsewhere/images.jsonl"}, "s3_not_allowed"),
        ({"prefix": "s3://BUCKET/inputs/photos"}, "manifest_invalid"),
        ({"prefix": "s3://BUCKET/jobs/"}, "s3_not_allowed"),
        ({"manifest": "s3://BUCKET/inputs/empty.jsonl", "max_concurrency": 3}, "request_invalid"),
    ],
)
def test_a_source_that_cannot_be_read_is_rejected(bulk: Bulk, body: dict[str, Any], code: str) -> None:
    bulk.put("inputs/empty.jsonl", b"")
    sent = {
        name: value.replace("BUCKET", bulk.bucket) if isinstance(value, str) else value for name, value in body.items()
    }
    response = bulk.call("POST", "/v1/jobs", sent)
    assert (response.json["code"], 400 <= response.status < 500) == (code, True), response.body


def test_csv_with_quotes_and_unicode_keys_and_keys_with_spaces_and_plus(bulk: Bulk) -> None:
    named = ['odd/a "b", c.jpg', "odd/größe ö+1.jpg", "odd/space here+%20.jpg", "odd/日本.jpg"]
    for number, key in enumerate(named):
        bulk.put(f"inputs/{key}", photo(number))
    text = "key,note\r\n" + "".join('"inputs/{}",x\r\n'.format(key.replace('"', '""')) for key in named)
    ended = bulk.wait(bulk.start(manifest=bulk.put("inputs/odd.csv", text.encode())))
    assert (ended["state"], ended["summary"]["succeeded"]) == ("succeeded", len(named))
    by_prefix = bulk.start(prefix=f"s3://{bulk.bucket}/inputs/odd/")
    bulk.put("inputs/odd/", b"")
    ended = bulk.wait(by_prefix)
    assert ended["summary"]["succeeded"] == len(named)
    assert {row["key"] for row in bulk.rows(by_prefix)} == {f"inputs/{key}" for key in named}
