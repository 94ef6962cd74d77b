"""Every source type of the deployed API: base64, form, URL, S3 object, upload, batch."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from deployment import IMAGE_BUCKET, IMAGE_PREFIX, MAX_BATCH, Deployed, Response, send
from expect import assert_problem, assert_result, assert_right
from requests import Request

if TYPE_CHECKING:
    from localcloud.models import Golden

OUTSIDE = "private/picture.jpg"


def base64_of(case: Golden) -> str:
    return base64.b64encode(case.path.read_bytes()).decode()


def form(data: bytes, fields: Mapping[str, str], name: str = "picture.jpg") -> tuple[bytes, str]:
    """A form as Python's requests sends it: its body and Content-Type."""
    prepared = Request("POST", "http://localhost/", files={"file": (name, data)}, data=dict(fields)).prepare()
    assert isinstance(prepared.body, bytes)
    return prepared.body, prepared.headers["Content-Type"]


@pytest.fixture(scope="module")
def bucket(deployed: Deployed, golden_cases: list[Golden]) -> str:
    """A bucket with the first two golden images where the endpoint may read, and one where it may not."""
    s3 = deployed.client("s3")
    s3.create_bucket(Bucket=IMAGE_BUCKET)
    for case in golden_cases[:2]:
        s3.put_object(Bucket=IMAGE_BUCKET, Key=f"{IMAGE_PREFIX}{case.path.name}", Body=case.path.read_bytes())
    s3.put_object(Bucket=IMAGE_BUCKET, Key=OUTSIDE, Body=golden_cases[0].path.read_bytes())
    return IMAGE_BUCKET


def test_base64_in_json(deployed: Deployed, golden_cases: list[Golden]) -> None:
    for case in golden_cases[:2]:
        assert_right(deployed.classify_json(image=base64_of(case)), case)
    assert_right(deployed.classify_json(image=f"data:image/jpeg;base64,{base64_of(golden_cases[0])}"), golden_cases[0])


def test_a_body_with_a_generic_media_type(deployed: Deployed, golden_cases: list[Golden]) -> None:
    for content_type in ("application/x-www-form-urlencoded", "application/octet-stream"):
        assert_right(deployed.classify(golden_cases[0].path.read_bytes(), content_type), golden_cases[0])


def test_a_form_by_curl(deployed: Deployed, golden_cases: list[Golden]) -> None:
    case = golden_cases[0]
    command = ["curl", "-sS", "-H", f"x-api-key: {deployed.endpoint['api_key']}", "-F", f"file=@{case.path}"]
    answer = subprocess.run(
        [*command, f"{deployed.endpoint['url']}v1/classify"], check=True, capture_output=True, timeout=60
    )
    assert_result(json.loads(answer.stdout), case)


def test_a_form_by_python(deployed: Deployed, golden_cases: list[Golden]) -> None:
    data = golden_cases[0].path.read_bytes()
    response = deployed.classify(*form(data, {"top": "1"}))
    assert_right(response, golden_cases[0])
    assert len(response.json["scores"]) == 1
    assert_problem(deployed.classify(*form(data, {"tops": "1"})), 400, "request_invalid")


def test_a_url(deployed: Deployed, golden_cases: list[Golden], image_site: str) -> None:
    for case in golden_cases[:2]:
        assert_right(deployed.classify_json(url=f"{image_site}/{case.path.name}"), case)
    assert_problem(deployed.classify_json(url=f"{image_site}/no-such.jpg"), 422, "url_unreachable")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/picture.jpg",
        "http://localhost/picture.jpg",
        "http://10.0.0.1/picture.jpg",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/picture.jpg",
        "http://127.0.0.53:22/picture.jpg",
        "file:///proc/self/environ",
        "ftp://example.com/picture.jpg",
    ],
)
def test_a_url_of_a_private_address_is_rejected(deployed: Deployed, url: str) -> None:
    assert_problem(deployed.classify_json(url=url), 422, "url_not_allowed")


def test_an_s3_object(deployed: Deployed, golden_cases: list[Golden], bucket: str) -> None:
    for case in golden_cases[:2]:
        source = {"bucket": bucket, "key": f"{IMAGE_PREFIX}{case.path.name}"}
        assert_right(deployed.classify_json(s3=source), case)
    missing = {"bucket": bucket, "key": f"{IMAGE_PREFIX}no-such.jpg"}
    assert_problem(deployed.classify_json(s3=missing), 422, "s3_unreachable")
    for outside in ({"bucket": bucket, "key": OUTSIDE}, {"bucket": "somebody-elses", "key": f"{IMAGE_PREFIX}x.jpg"}):
        assert_problem(deployed.classify_json(s3=outside), 422, "s3_not_allowed")


def test_a_version_of_an_s3_object(deployed: Deployed, golden_cases: list[Golden], bucket: str) -> None:
    s3, key = deployed.client("s3"), f"{IMAGE_PREFIX}versions.jpg"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, last = golden_cases[0], next(case for case in golden_cases if case.label != golden_cases[0].label)
    versions = [
        s3.put_object(Bucket=bucket, Key=key, Body=case.path.read_bytes())["VersionId"] for case in (first, last)
    ]
    assert_right(deployed.classify_json(s3={"bucket": bucket, "key": key}), last)
    assert_right(deployed.classify_json(s3={"bucket": bucket, "key": key, "version_id": versions[0]}), first)


def request_upload(deployed: Deployed) -> Any:
    response = deployed.post("/v1/uploads", b"{}")
    assert response.status == 200, response.body
    return response.json


def upload(ticket: Any, data: bytes, **fields: str) -> Response:
    """Do with the answer what it says: the fields, then the file."""
    body, content_type = form(data, {**ticket["upload"]["fields"], "Content-Type": "image/jpeg", **fields})
    return send(urllib.request.Request(ticket["upload"]["url"], body, {"Content-Type": content_type}))


def test_an_upload_larger_than_a_request_may_be(deployed: Deployed, golden_cases: list[Golden]) -> None:
    ticket = request_upload(deployed)
    # What follows a JPEG's end is no part of it.
    large = golden_cases[0].path.read_bytes().ljust(8_000_000, b"\0")
    assert_problem(deployed.classify(large), 413, "request_too_large")
    assert_problem(deployed.classify_json(s3=ticket["s3"]), 422, "s3_unreachable")
    assert upload(ticket, large).status == 204
    assert_right(deployed.classify_json(s3=ticket["s3"]), golden_cases[0])


def test_an_upload_outside_its_policy_is_rejected(deployed: Deployed, golden_cases: list[Golden]) -> None:
    ticket, data = request_upload(deployed), golden_cases[0].path.read_bytes()
    other = f"uploads/{uuid.uuid4().hex}"
    rejected = {
        "EntityTooLarge": upload(ticket, bytes(ticket["upload"]["max_bytes"] + 1)),
        "EntityTooSmall": upload(ticket, b""),
        "AccessDenied": upload(ticket, data, **{"Content-Type": "text/html"}),
        "Policy": upload(ticket, data, key=other),
        "SignatureDoesNotMatch": upload(ticket, data, **{"x-amz-signature": "0" * 64}),
    }
    for word, response in rejected.items():
        assert 400 <= response.status < 500
        assert word in response.body.decode()
    for key in (ticket["s3"]["key"], other):
        source = {"bucket": ticket["s3"]["bucket"], "key": key}
        assert_problem(deployed.classify_json(s3=source), 422, "s3_unreachable")


def test_other_keys_of_the_upload_bucket_are_rejected(deployed: Deployed) -> None:
    source = {"bucket": request_upload(deployed)["s3"]["bucket"], "key": OUTSIDE}
    assert_problem(deployed.classify_json(s3=source), 422, "s3_not_allowed")


def test_a_batch_of_every_source_type_with_bad_items(
    deployed: Deployed, golden_cases: list[Golden], bucket: str, image_site: str
) -> None:
    first, second = golden_cases[:2]
    items = [
        {"image": base64_of(first)},
        {"url": f"{image_site}/{second.path.name}"},
        {"image": base64.b64encode(b"no image").decode()},
        {"s3": {"bucket": bucket, "key": f"{IMAGE_PREFIX}{first.path.name}"}},
        {"url": "http://127.0.0.1/picture.jpg"},
        {"picture": 1},
    ]
    response = deployed.post("/v1/classify/batch", json.dumps({"items": items, "top": 1}).encode())
    assert response.status == 200, response.body
    results = response.json["results"]
    assert [result["index"] for result in results] == list(range(len(items)))
    for index, case in {0: first, 1: second, 3: first}.items():
        assert_result(results[index]["result"], case)
        assert len(results[index]["result"]["scores"]) == 1
    problems = {result["index"]: result["error"]["code"] for result in results if "error" in result}
    assert problems == {2: "unsupported_media_type", 4: "url_not_allowed", 5: "request_invalid"}


def test_a_batch_above_the_limit_is_rejected(deployed: Deployed, golden_cases: list[Golden]) -> None:
    assert deployed.call("/v1/models").json["limits"]["max_batch"] == MAX_BATCH
    body = json.dumps({"items": [{"image": base64_of(golden_cases[0])}] * (MAX_BATCH + 1)}).encode()
    assert_problem(deployed.post("/v1/classify/batch", body), 413, "batch_too_large")


@pytest.mark.parametrize(("query", "scores"), [("?top=1", 1), ("?top=2", 2), ("?scores=all", 2), ("", 2)])
def test_top_limits_the_scores(deployed: Deployed, golden_cases: list[Golden], query: str, scores: int) -> None:
    response = deployed.classify(golden_cases[0].path.read_bytes(), query=query)
    assert_right(response, golden_cases[0])
    assert len(response.json["scores"]) == scores


@pytest.mark.parametrize("query", ["?top=0", "?top=many", "?scores=some", "?top=1&top=2", "?top=1&scores=all"])
def test_an_invalid_top_is_rejected(deployed: Deployed, golden_cases: list[Golden], query: str) -> None:
    response = deployed.classify(golden_cases[0].path.read_bytes(), query=query)
    assert_problem(response, 400, "request_invalid")
