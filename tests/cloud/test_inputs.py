"""Every way in for a picture, by the deployed API: base64, form, URL, S3 object, upload, batch."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from deployment import MAX_BATCH, PICTURE_BUCKET, PICTURE_PREFIX, Deployed, Response, send
from expect import assert_problem, assert_result, assert_right
from requests import Request

if TYPE_CHECKING:
    from localcloud.models import Golden

OUTSIDE = "private/picture.jpg"


def base64_of(picture: Golden) -> str:
    return base64.b64encode(picture.path.read_bytes()).decode()


def form(data: bytes, fields: Mapping[str, str], name: str = "picture.jpg") -> tuple[bytes, str]:
    """A form as Python's requests sends it: its body and Content-Type."""
    prepared = Request("POST", "http://localhost/", files={"file": (name, data)}, data=dict(fields)).prepare()
    assert isinstance(prepared.body, bytes)
    return prepared.body, prepared.headers["Content-Type"]


@pytest.fixture(scope="module")
def bucket(deployed: Deployed, pictures: list[Golden]) -> str:
    """A bucket with the first two golden pictures where the endpoint may read, and one where it may not."""
    s3 = deployed.client("s3")
    s3.create_bucket(Bucket=PICTURE_BUCKET)
    for picture in pictures[:2]:
        s3.put_object(Bucket=PICTURE_BUCKET, Key=f"{PICTURE_PREFIX}{picture.path.name}", Body=picture.path.read_bytes())
    s3.put_object(Bucket=PICTURE_BUCKET, Key=OUTSIDE, Body=pictures[0].path.read_bytes())
    return PICTURE_BUCKET


def test_base64_in_json(deployed: Deployed, pictures: list[Golden]) -> None:
    for picture in pictures[:2]:
        assert_right(deployed.classify_json(image=base64_of(picture)), picture)
    assert_right(deployed.classify_json(image=f"data:image/jpeg;base64,{base64_of(pictures[0])}"), pictures[0])


def test_the_body_without_a_type_that_says_anything(deployed: Deployed, pictures: list[Golden]) -> None:
    for content_type in ("application/x-www-form-urlencoded", "application/octet-stream"):
        assert_right(deployed.classify(pictures[0].path.read_bytes(), content_type), pictures[0])


def test_a_form_by_curl(deployed: Deployed, pictures: list[Golden]) -> None:
    picture = pictures[0]
    command = ["curl", "-sS", "-H", f"x-api-key: {deployed.endpoint['api_key']}", "-F", f"file=@{picture.path}"]
    answer = subprocess.run(
        [*command, f"{deployed.endpoint['url']}v1/classify"], check=True, capture_output=True, timeout=60
    )
    assert_result(json.loads(answer.stdout), picture)


def test_a_form_by_python(deployed: Deployed, pictures: list[Golden]) -> None:
    data = pictures[0].path.read_bytes()
    response = deployed.classify(*form(data, {"top": "1"}))
    assert_right(response, pictures[0])
    assert len(response.json["scores"]) == 1
    assert_problem(deployed.classify(*form(data, {"tops": "1"})), 400, "request_invalid")


def test_a_url(deployed: Deployed, pictures: list[Golden], picture_site: str) -> None:
    for picture in pictures[:2]:
        assert_right(deployed.classify_json(url=f"{picture_site}/{picture.path.name}"), picture)
    assert_problem(deployed.classify_json(url=f"{picture_site}/no-such.jpg"), 422, "url_unreachable")


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
def test_a_url_that_is_not_public_is_refused(deployed: Deployed, url: str) -> None:
    assert_problem(deployed.classify_json(url=url), 422, "url_not_allowed")


def test_an_s3_object(deployed: Deployed, pictures: list[Golden], bucket: str) -> None:
    for picture in pictures[:2]:
        source = {"bucket": bucket, "key": f"{PICTURE_PREFIX}{picture.path.name}"}
        assert_right(deployed.classify_json(s3=source), picture)
    missing = {"bucket": bucket, "key": f"{PICTURE_PREFIX}no-such.jpg"}
    assert_problem(deployed.classify_json(s3=missing), 422, "s3_unreachable")
    for outside in ({"bucket": bucket, "key": OUTSIDE}, {"bucket": "somebody-elses", "key": f"{PICTURE_PREFIX}x.jpg"}):
        assert_problem(deployed.classify_json(s3=outside), 422, "s3_not_allowed")


def test_a_version_of_an_s3_object(deployed: Deployed, pictures: list[Golden], bucket: str) -> None:
    s3, key = deployed.client("s3"), f"{PICTURE_PREFIX}versions.jpg"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, last = pictures[0], next(each for each in pictures if each.label != pictures[0].label)
    versions = [
        s3.put_object(Bucket=bucket, Key=key, Body=each.path.read_bytes())["VersionId"] for each in (first, last)
    ]
    assert_right(deployed.classify_json(s3={"bucket": bucket, "key": key}), last)
    assert_right(deployed.classify_json(s3={"bucket": bucket, "key": key, "version_id": versions[0]}), first)


def ask_for_upload(deployed: Deployed) -> Any:
    response = deployed.post("/v1/uploads", b"{}")
    assert response.status == 200, response.body
    return response.json


def upload(asked: Any, data: bytes, **fields: str) -> Response:
    """Do with the answer what it says: the fields, then the file."""
    body, content_type = form(data, {**asked["upload"]["fields"], "Content-Type": "image/jpeg", **fields})
    return send(urllib.request.Request(asked["upload"]["url"], body, {"Content-Type": content_type}))


def test_an_upload_larger_than_a_request_may_be(deployed: Deployed, pictures: list[Golden]) -> None:
    asked = ask_for_upload(deployed)
    # What follows a JPEG's end is no part of it.
    large = pictures[0].path.read_bytes().ljust(8_000_000, b"\0")
    assert_problem(deployed.classify(large), 413, "request_too_large")
    assert_problem(deployed.classify_json(s3=asked["s3"]), 422, "s3_unreachable")
    assert upload(asked, large).status == 204
    assert_right(deployed.classify_json(s3=asked["s3"]), pictures[0])


def test_the_uploads_policy_holds_its_sender(deployed: Deployed, pictures: list[Golden]) -> None:
    asked, data = ask_for_upload(deployed), pictures[0].path.read_bytes()
    other = f"uploads/{uuid.uuid4().hex}"
    refused = {
        "EntityTooLarge": upload(asked, bytes(asked["upload"]["max_bytes"] + 1)),
        "EntityTooSmall": upload(asked, b""),
        "AccessDenied": upload(asked, data, **{"Content-Type": "text/html"}),
        "Policy": upload(asked, data, key=other),
        "SignatureDoesNotMatch": upload(asked, data, **{"x-amz-signature": "0" * 64}),
    }
    for word, response in refused.items():
        assert 400 <= response.status < 500
        assert word in response.body.decode()
    for key in (asked["s3"]["key"], other):
        source = {"bucket": asked["s3"]["bucket"], "key": key}
        assert_problem(deployed.classify_json(s3=source), 422, "s3_unreachable")


def test_the_upload_bucket_outside_of_the_uploads_is_refused(deployed: Deployed) -> None:
    source = {"bucket": ask_for_upload(deployed)["s3"]["bucket"], "key": OUTSIDE}
    assert_problem(deployed.classify_json(s3=source), 422, "s3_not_allowed")


def test_a_batch_of_every_kind_with_bad_items(
    deployed: Deployed, pictures: list[Golden], bucket: str, picture_site: str
) -> None:
    first, second = pictures[:2]
    items = [
        {"image": base64_of(first)},
        {"url": f"{picture_site}/{second.path.name}"},
        {"image": base64.b64encode(b"no picture").decode()},
        {"s3": {"bucket": bucket, "key": f"{PICTURE_PREFIX}{first.path.name}"}},
        {"url": "http://127.0.0.1/picture.jpg"},
        {"picture": 1},
    ]
    response = deployed.post("/v1/classify/batch", json.dumps({"items": items, "top": 1}).encode())
    assert response.status == 200, response.body
    results = response.json["results"]
    assert [each["index"] for each in results] == list(range(len(items)))
    for index, picture in {0: first, 1: second, 3: first}.items():
        assert_result(results[index]["result"], picture)
        assert len(results[index]["result"]["scores"]) == 1
    problems = {each["index"]: each["error"]["code"] for each in results if "error" in each}
    assert problems == {2: "unsupported_media_type", 4: "url_not_allowed", 5: "request_invalid"}


def test_a_batch_of_too_many(deployed: Deployed, pictures: list[Golden]) -> None:
    assert deployed.call("/v1/models").json["limits"]["max_batch"] == MAX_BATCH
    body = json.dumps({"items": [{"image": base64_of(pictures[0])}] * (MAX_BATCH + 1)}).encode()
    assert_problem(deployed.post("/v1/classify/batch", body), 413, "batch_too_large")


@pytest.mark.parametrize(("query", "scores"), [("?top=1", 1), ("?top=2", 2), ("?scores=all", 2), ("", 2)])
def test_how_many_scores(deployed: Deployed, pictures: list[Golden], query: str, scores: int) -> None:
    response = deployed.classify(pictures[0].path.read_bytes(), query=query)
    assert_right(response, pictures[0])
    assert len(response.json["scores"]) == scores


@pytest.mark.parametrize("query", ["?top=0", "?top=many", "?scores=some", "?top=1&top=2", "?top=1&scores=all"])
def test_scores_that_cannot_be_asked_for(deployed: Deployed, pictures: list[Golden], query: str) -> None:
    response = deployed.classify(pictures[0].path.read_bytes(), query=query)
    assert_problem(response, 400, "request_invalid")
