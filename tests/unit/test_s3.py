"""S3: allowed locations, the size limit, and failures of S3 as problems without internals."""

from __future__ import annotations

import base64
import functools
import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.loaders import Loader
from botocore.stub import Stubber
from fakes import FakeBody, FakeS3, problem_of
from loupe.errors import ImageTooLarge, Problem, S3NotAllowed, S3Unavailable, S3Unreachable, UploadsOff
from loupe.image import Limits
from loupe.sources import Sources
from loupe.sources.s3 import S3Location, S3Object, S3Rules, bucket_origins
from loupe.sources.s3_reader import ObjectReader, connect
from loupe.sources.uploads import presign
from loupe.sources.url import UrlRules

RULES = S3Rules((S3Location("photos", "hair/"), S3Location("all")), "uploads-bucket")
OBJECTS = {("photos", "hair/a.jpg"): b"abc", ("all", "b"): b"b" * 100, ("uploads-bucket", "uploads/x"): b"x"}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1",
                        "AWS_DEFAULT_REGION": "eu-west-1", "AWS_SESSION_TOKEN": "t"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def read(s3: FakeS3, bucket: str, key: str, version: str | None = None, most: int = 100) -> bytes:
    return ObjectReader(RULES, most, s3).read(S3Object(bucket, key, version))


@pytest.mark.parametrize(("place", "content"), OBJECTS.items())
def test_an_allowed_object_is_read(place, content) -> None:
    assert read(FakeS3(OBJECTS), *place) == content


def test_version_id_is_sent() -> None:
    s3 = FakeS3(OBJECTS)
    read(s3, "all", "b", "v1")
    read(s3, "all", "b")
    assert [call.get("VersionId") for call in s3.calls] == ["v1", None]


@pytest.mark.parametrize(
    ("bucket", "key"),
    [("photos", "a.jpg"), ("photos", "hair"), ("photos", "hairy/a"), ("photos", "/hair/a"), ("other", "hair/a"),
     ("uploads-bucket", "a"), ("Photos", "hair/a"), ("photos", "Hair/a")],
)  # fmt: skip
def test_other_objects_are_rejected_without_a_call(bucket, key) -> None:
    s3 = FakeS3({(bucket, key): b"secret"})
    assert isinstance(problem_of(read, s3, bucket, key), S3NotAllowed)
    assert s3.calls == []


def test_without_locations_nothing_is_read() -> None:
    reader = ObjectReader(S3Rules(), 10, FakeS3(OBJECTS))
    assert "does not read from S3" in problem_of(reader.read, S3Object("all", "b")).detail


def test_large_object_is_rejected_before_it_is_read() -> None:
    s3 = FakeS3(OBJECTS)
    assert isinstance(problem_of(read, s3, "all", "b", None, 99), ImageTooLarge)
    assert s3.bodies[0].taken == 0
    assert s3.bodies[0].closed


def test_false_content_length_does_not_bypass_the_limit() -> None:
    class Lying(FakeS3):
        def get_object(self, **arguments):
            return {**super().get_object(**arguments), "ContentLength": 1}

    assert isinstance(problem_of(read, Lying({("all", "b"): bytes(10**6)}), "all", "b"), ImageTooLarge)


@pytest.mark.parametrize(
    ("fail", "kind"),
    [
        ("NoSuchKey", S3Unreachable),
        ("NoSuchBucket", S3Unreachable),
        ("NoSuchVersion", S3Unreachable),
        ("AccessDenied", S3Unreachable),
        ("InvalidObjectState", S3Unreachable),
        ("SlowDown", S3Unavailable),
        ("InternalError", S3Unavailable),
        (ConnectTimeoutError(endpoint_url="https://all.s3.amazonaws.com"), S3Unavailable),
        (ReadTimeoutError(endpoint_url="https://all.s3.amazonaws.com"), S3Unavailable),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), S3Unavailable),
    ],
)
def test_s3_failures_are_problems_without_internals(fail, kind) -> None:
    problem = problem_of(read, FakeS3(OBJECTS, fail), "all", "b")
    assert isinstance(problem, kind)
    assert "arn" not in problem.detail
    assert "amazonaws" not in problem.detail
    assert (problem.status, problem.headers) == ((503, {"Retry-After": "1"}) if kind is S3Unavailable else (422, {}))


def test_missing_and_forbidden_objects_have_the_same_problem() -> None:
    details = {problem_of(read, FakeS3(OBJECTS, fail), "all", "b").detail for fail in ("NoSuchKey", "AccessDenied")}
    assert len(details) == 1


@pytest.mark.parametrize("fail", ["InvalidAccessKeyId", "ExpiredToken", NoCredentialsError()])
def test_misconfiguration_is_not_a_client_problem(fail) -> None:
    with pytest.raises(Exception, match=r"GetObject|credentials"):
        read(FakeS3(OBJECTS, fail), "all", "b")


def documented_codes() -> dict[str, int]:
    """Code -> HTTP status of every error that S3's API reference lists, as botocore carries it."""
    model = Loader().load_service_model("s3", "service-2")
    text = model["shapes"]["Error"]["members"]["Code"]["documentation"]
    rows = re.findall(r"<i>Code:</i> ([A-Za-z]{2,}).*?<i>HTTP Status Code:</i> ([0-9]{3}|N/A)", text, re.DOTALL)
    return {code: 400 if status == "N/A" else int(status) for code, status in rows}


# The classification of every code: a code that S3 adds fails the test until it is classified.
CREDENTIALS_OF_OURS = {
    "AccountProblem", "AuthorizationHeaderMalformed", "CredentialsNotSupported", "ExpiredToken", "InvalidAccessKeyId",
    "InvalidSecurity", "InvalidToken", "MissingSecurityElement", "MissingSecurityHeader", "NotSignedUp",
    "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
}  # fmt: skip
WORTH_ANOTHER_TRY = {
    "InternalError", "NotImplemented", "OperationAborted", "Redirect", "RequestTimeout", "ServiceUnavailable",
    "SlowDown", "TemporaryRedirect",
}  # fmt: skip
# Not in the table: SSE-KMS returns KMS's codes, and botocore names errors without a body by their status.
UNLISTED = {
    "KMS.DisabledException": (400, S3Unreachable), "KMS.NotFoundException": (400, S3Unreachable),
    "KMS.KMSInvalidStateException": (400, S3Unreachable), "KMS.AccessDeniedException": (400, S3Unreachable),
    "KMS.ThrottlingException": (400, S3Unavailable), "ObjectNotInActiveTierError": (403, S3Unreachable),
    "400": (400, S3Unreachable), "403": (403, S3Unreachable), "404": (404, S3Unreachable), "500": (500, S3Unavailable),
    "503": (503, S3Unavailable), "NobodyHasHeardOfIt": (400, S3Unreachable), "NorOfThis": (500, S3Unavailable),
}  # fmt: skip


def test_every_documented_s3_code_is_classified() -> None:
    codes = documented_codes()
    assert len(codes) > 70
    assert set(codes) >= CREDENTIALS_OF_OURS | WORTH_ANOTHER_TRY | {"InvalidURI", "InvalidRequest", "AllAccessDisabled"}


@functools.cache
def shared_client() -> Any:
    """One for all tests of errors and keys: making it takes longer than a test."""
    return connect(4)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        *((code, status, ClientError if code in CREDENTIALS_OF_OURS else S3Unavailable if code in WORTH_ANOTHER_TRY
           else S3Unreachable) for code, status in sorted(documented_codes().items())),
        *((code, status, kind) for code, (status, kind) in UNLISTED.items()),
    ],
)  # fmt: skip
def test_every_s3_error_code_is_a_client_problem_or_a_server_fault(code, status, kind) -> None:
    client = shared_client()
    with Stubber(client) as stub:
        stub.add_client_error("get_object", code, "arn:aws:kms:eu-west-1:000000000000:key/secret", status)
        reader = ObjectReader(RULES, 10, client)
        with pytest.raises((Problem, ClientError)) as raised:
            reader.read(S3Object("all", "b"))
    assert isinstance(raised.value, kind)
    if isinstance(raised.value, Problem):
        assert raised.value.status == (503 if kind is S3Unavailable else 422)
        assert "secret" not in raised.value.detail


def sent_path(bucket: str, key: str) -> str:
    """Return the path of the request that botocore would send."""
    client, paths = shared_client(), []

    def keep(request, **_):
        paths.append(urlsplit(request.url).path)
        return AWSResponse(request.url, 404, {}, SimpleNamespace(stream=lambda: iter(())))

    client.meta.events.register("before-send.s3.GetObject", keep)
    try:
        assert isinstance(problem_of(ObjectReader(RULES, 10, client).read, S3Object(bucket, key)), S3Unreachable)
    finally:
        client.meta.events.unregister("before-send.s3.GetObject", keep)
    (path,) = paths
    return path


@pytest.mark.parametrize("key", [
    "a//b", "/a", "a/", "a b", "a+b", "a%2Fb", "%2e%2e/b", "..a/b", "a../b", "...", "a/.../b",
    "\u00e4/\U0001f600", "a?b=c#d",
    "~a", "a\\..\\b", "a;b", "a:b@c", "*", "'\"<>&",
])  # fmt: skip
def test_a_key_is_sent_exactly_as_given(key) -> None:
    assert unquote(sent_path("all", key)) == f"/{key}"


@pytest.mark.parametrize("key", ["..", ".", "../b", "./b", "b/..", "b/.", "b/../c", "b/./c", "b//../c", "/../b"])
@pytest.mark.parametrize(("bucket", "prefix"), [("all", ""), ("photos", "hair/"), ("uploads-bucket", "uploads/")])
def test_dot_segments_are_rejected_without_a_call(bucket, prefix, key) -> None:
    s3 = FakeS3({})
    problem = problem_of(read, s3, bucket, prefix + key)
    assert isinstance(problem, S3NotAllowed)
    assert "'..'" in problem.detail
    assert s3.calls == []


def test_a_trickling_body_ends_at_the_deadline() -> None:
    class Trickle(FakeBody):
        def read(self, size=-1):
            return super().read(1)

    class Slow(FakeS3):
        def get_object(self, **arguments):
            return {**super().get_object(**arguments), "Body": Trickle(bytes(10**6))}

    rules = S3Rules((S3Location("all"),), timeout_seconds=0.05)
    reader = ObjectReader(rules, 10**9, Slow(OBJECTS))
    assert isinstance(problem_of(reader.read, S3Object("all", "b")), S3Unavailable)


def test_real_client_sends_valid_s3_requests() -> None:
    client = connect(4)
    with Stubber(client) as stub:
        stub.add_response(
            "get_object",
            {"Body": FakeBody(b"abc"), "ContentLength": 3},
            {"Bucket": "all", "Key": "b", "VersionId": "v"},
        )
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
        reader = ObjectReader(RULES, 10, client)
        assert reader.read(S3Object("all", "b", "v")) == b"abc"
        assert isinstance(problem_of(reader.read, S3Object("all", "b")), S3Unreachable)
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (1.0, 2.0, 2)


def test_rejected_object_does_not_import_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "client", lambda *_, **__: pytest.fail("a client was made"))
    sources = Sources.of(UrlRules(), RULES, Limits(max_bytes=10))
    assert isinstance(problem_of(sources.read, S3Object("other", "b")), S3NotAllowed)


def test_sources_create_one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = []
    monkeypatch.setattr(boto3, "client", lambda *_, **__: clients.append(FakeS3(OBJECTS)) or clients[-1])
    sources = Sources.of(UrlRules(), RULES, Limits(max_bytes=100))
    assert [sources.read(S3Object("all", "b")) for _ in range(2)] == [b"b" * 100] * 2
    assert len(clients) == 1


def policy_of(answer) -> dict:
    return json.loads(base64.b64decode(answer["upload"]["fields"]["policy"]))


def test_upload_policy_limits_size_key_type_and_time() -> None:
    answer = presign(RULES, 1234)
    policy = policy_of(answer)
    key = answer["s3"]["key"]
    assert answer["s3"]["bucket"] == "uploads-bucket"
    assert key.startswith("uploads/")
    assert ["content-length-range", 1, 1234] in policy["conditions"]
    assert ["starts-with", "$Content-Type", "image/"] in policy["conditions"]
    assert {"key": key} in policy["conditions"]
    assert {"bucket": "uploads-bucket"} in policy["conditions"]
    assert answer["upload"]["max_bytes"] == 1234
    assert answer["upload"]["fields"]["Content-Type"] == "image/*"
    seconds = (datetime.fromisoformat(policy["expiration"]) - datetime.now(UTC)).total_seconds()
    assert 290 < seconds <= 301
    assert abs((datetime.fromisoformat(answer["upload"]["expires_at"]) - datetime.now(UTC)).total_seconds() - 300) < 5


def test_upload_address_is_in_the_region_of_the_bucket() -> None:
    # The global address redirects young buckets elsewhere, which a form POST does not survive.
    assert presign(RULES, 1)["upload"]["url"] == "https://uploads-bucket.s3.eu-west-1.amazonaws.com/"


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "il-central-1", "us-gov-west-1", "cn-north-1"])
def test_page_may_send_to_the_upload_bucket(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    assert [f"{origin}/" for origin in bucket_origins("uploads-bucket", region)] == [presign(RULES, 1)["upload"]["url"]]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4577", "https://s3.internal.example"])
def test_page_may_send_to_the_upload_bucket_of_another_endpoint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    url = urlsplit(presign(RULES, 1)["upload"]["url"])
    assert f"{url.scheme}://{url.netloc}" in bucket_origins("uploads-bucket", "eu-west-1", endpoint)


def test_upload_address_follows_the_endpoint_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4577")
    assert presign(RULES, 1)["upload"]["url"] == "http://127.0.0.1:4577/uploads-bucket"


def test_every_upload_has_its_own_key_and_may_be_classified() -> None:
    answers = [presign(RULES, 1)["s3"] for _ in range(3)]
    assert len({answer["key"] for answer in answers}) == 3
    for answer in answers:
        RULES.check(S3Object(**answer))


def test_presign_without_a_bucket_is_uploads_off() -> None:
    problem = problem_of(presign, S3Rules(), 1)
    assert isinstance(problem, UploadsOff)
    assert problem.status == 404
