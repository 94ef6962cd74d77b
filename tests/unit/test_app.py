"""The whole function without its network: every route by every trigger, and every kind of invalid request."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from events import Context, base64_of, body_of, form_body, http, json_body, rest
from fakes import Broken, FakeS3, make_app
from images import BLUE, RED, jpeg, png, solid
from loupe.classifier import Classifier
from loupe.errors import ModelFailed, NotFound, UrlUnreachable
from loupe.http import webpage
from loupe.http.response import cacheable
from loupe.http.routes import ROUTES, Route, find, methods
from loupe.identity import environment_id
from loupe.image import Limits
from loupe.sources.s3 import S3Location, S3Rules

FUNCTION = Path(__file__).parents[2] / "function"
IMAGE = jpeg(solid(RED))
URL = "https://example.com/red.jpg"
RULES = S3Rules((S3Location("photos"),), "uploads-bucket")
PROBLEM_KEYS = {"type", "title", "status", "detail", "code", "request_id"}
FACTS = webpage.Facts("tiny", "1.0.0", "Tells a from b.", ("a", "b"), "{}")
EVENTS = pytest.mark.parametrize("event", [rest, http])


@pytest.fixture
def app(classifier):
    return make_app(
        classifier,
        pages={URL: IMAGE, "https://example.com/down": UrlUnreachable("The host has no address.")},
        s3=FakeS3({("photos", "red.jpg"): IMAGE}),
        s3_rules=RULES,
    )


def call(app, event, **context):
    answer = app.http(event, Context(**context))
    assert set(answer) == {"statusCode", "headers", "body", "isBase64Encoded"}
    assert answer["headers"]["X-Request-Id"] == "request-1"
    assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r"([a-z]+;dur=\d+\.\d\d(, )?)+", answer["headers"]["Server-Timing"])
    return answer


def is_problem(answer, status, code):
    assert answer["statusCode"] == status, answer["body"]
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    problem = body_of(answer)
    assert set(problem) == PROBLEM_KEYS
    assert (problem["status"], problem["code"], problem["request_id"]) == (status, code, "request-1")
    assert problem["type"] == f"urn:loupe:problem:{code}"
    return problem


def is_red(result):
    assert result["label"] == "red"
    assert result["probability"] == result["scores"]["red"] > 0.9
    assert list(result["scores"]) == ["red", "blue"]
    assert sum(result["scores"].values()) == pytest.approx(1, abs=1e-5)


SENT = {
    "body": {"body": IMAGE, "headers": {"content-type": "image/jpeg"}},
    "no type": {"body": IMAGE},
    "base64": json_body({"image": base64_of(IMAGE)}),
    "url": json_body({"url": URL}),
    "s3": json_body({"s3": {"bucket": "photos", "key": "red.jpg"}}),
    "form": form_body(("file", IMAGE, "red.jpg", "image/jpeg")),
}


@EVENTS
@pytest.mark.parametrize("kind", SENT)
def test_every_input_gives_the_result(app, event, kind) -> None:
    answer = call(app, event(**SENT[kind]))
    assert answer["statusCode"] == 200, answer["body"]
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    result = body_of(answer)
    is_red(result)
    assert set(result["model"]) == {"name", "version", "variant"}
    assert result["request_id"] == "request-1"
    assert set(result) == {"label", "probability", "scores", "model", "request_id"}
    for stage in ("source", "decode", "tensor", "model", "total"):
        assert f"{stage};dur=" in answer["headers"]["Server-Timing"]


@pytest.mark.parametrize(
    "payload", [{"image": base64_of(IMAGE)}, {"url": URL}, {"s3": {"bucket": "photos", "key": "red.jpg"}}]
)
def test_direct_invocation_returns_the_bare_result(app, payload) -> None:
    result = app.direct({**payload, "top": 1}, Context())
    assert (result["label"], list(result["scores"]), result["request_id"]) == ("red", ["red"], "request-1")


def test_a_direct_batch_ends_by_the_deadline_of_its_invocation(app) -> None:
    answer = app.direct({"items": [{"image": base64_of(IMAGE)}]}, Context(remaining_ms=900))
    assert [result["error"]["code"] for result in answer["results"]] == ["deadline_exceeded"]


def test_a_direct_invocation_that_asks_is_told_its_execution_environment(app) -> None:
    identities = {app.direct({"image": base64_of(IMAGE), "identify": True}, Context())["environment"] for _ in range(2)}
    assert identities == {environment_id()}
    assert re.fullmatch("[0-9a-f]{16}", identities.pop())


@pytest.mark.parametrize("payload", [None, [], "x", 3, {}, {"image": 3}, {"url": URL, "image": "aa"}, {"top": 1}])
def test_direct_invocation_returns_a_problem_for_an_invalid_payload(app, payload) -> None:
    answer = app.direct(payload, Context())
    assert set(answer) == {"error"}
    assert set(answer["error"]) == PROBLEM_KEYS
    assert answer["error"]["code"] == "request_invalid"


@EVENTS
def test_top_limits_the_scores(app, event) -> None:
    answer = call(app, event(body=IMAGE, query={"top": "1"}))
    assert list(body_of(answer)["scores"]) == ["red"]


@EVENTS
@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"body": None}, 400, "request_invalid"),
        (json_body({"url": URL, "image": "aa"}), 400, "request_invalid"),
        ({"body": "a!", "isBase64Encoded": True}, 400, "request_invalid"),
        ({"body": IMAGE, "query": {"top": "x"}}, 400, "request_invalid"),
        ({"path": "/nothing"}, 404, "not_found"),
        ({"path": "/v1/classify/other"}, 404, "not_found"),
        ({"method": "GET"}, 405, "method_not_allowed"),
        ({"method": "DELETE", "path": "/v1/models"}, 405, "method_not_allowed"),
        ({"body": b"%PDF-1.7"}, 415, "unsupported_media_type"),
        ({"body": b"<svg/>", "headers": {"Content-Type": "image/svg+xml"}}, 415, "unsupported_media_type"),
        ({"body": IMAGE[:400]}, 422, "image_undecodable"),
        (json_body({"url": "https://example.com/down"}), 422, "url_unreachable"),
        (json_body({"s3": {"bucket": "photos", "key": "none"}}), 422, "s3_unreachable"),
        (json_body({"s3": {"bucket": "other", "key": "red.jpg"}}), 422, "s3_not_allowed"),
    ],
)
def test_client_mistakes_are_4xx(app, event, sent, status, code) -> None:
    is_problem(call(app, event(**sent)), status, code)


def test_an_image_beyond_the_limits_is_413(tiny_directory) -> None:
    app = make_app(Classifier.load(tiny_directory, Limits(max_bytes=len(IMAGE) - 1)))
    is_problem(call(app, rest(body=IMAGE)), 413, "image_too_large")
    app = make_app(Classifier.load(tiny_directory, Limits(max_pixels=63 * 48)))
    is_problem(call(app, rest(body=IMAGE)), 413, "image_too_large")


def test_method_not_allowed_lists_the_allowed_methods(app) -> None:
    assert call(app, rest("PUT"))["headers"]["Allow"] == "POST, OPTIONS"
    assert call(app, rest("PUT", "/v1/health"))["headers"]["Allow"] == "GET, HEAD, OPTIONS"


@EVENTS
def test_unexpected_exception_is_a_500_without_internals(classifier, event, capsys) -> None:
    app = make_app(classifier, sources=Broken(ZeroDivisionError("secret in /var/task/loupe")))
    answer = call(app, event(**json_body({"url": URL})))
    is_problem(answer, 500, "internal_error")
    assert "secret" not in answer["body"]
    assert "Traceback" not in answer["body"]
    direct = app.direct({"url": URL}, Context())
    assert direct["error"]["code"] == "internal_error"
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (error, _) = [line for line in log if line.get("level") == "ERROR"]
    assert "ZeroDivisionError: secret" in error["exception"]
    assert error["request_id"] == "request-1"


def test_a_model_that_fails_is_a_500(tiny_directory) -> None:
    broken = Classifier.load(tiny_directory)

    def run(batch):
        raise ModelFailed("The model's output for this image is not a number.")

    broken.model.run = run  # type: ignore[method-assign]
    is_problem(call(make_app(broken), rest(body=IMAGE)), 500, "model_failed")


def test_a_problem_for_head_has_no_body(app) -> None:
    answer = call(app, rest("HEAD"))
    assert (answer["statusCode"], answer["body"]) == (405, "")


@EVENTS
def test_health_and_models(app, classifier, event) -> None:
    health = call(app, event("GET", "/v1/health"))
    assert body_of(health)["status"] == "ok"
    assert health["headers"]["Cache-Control"] == "no-store"
    models = body_of(call(app, event("GET", "/v1/models")))
    assert models["models"][0]["labels"] == ["blue", "red"]
    assert models["limits"] == {
        "max_image_bytes": classifier.limits.max_bytes,
        "max_image_pixels": classifier.limits.max_pixels,
        "formats": ["jpeg", "png", "webp", "gif", "avif", "heic"],
        "max_batch": 32,
        "uploads": True,
    }


@EVENTS
@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=lambda route: route.name)
def test_head_is_get_without_a_body(app, event, route) -> None:
    get, head = (call(app, event(method, route.path)) for method in ("GET", "HEAD"))
    assert (get["statusCode"], head["statusCode"], head["body"]) == (200, 200, "")
    assert get["body"]
    for answer in (get, head):
        answer["headers"].pop("Server-Timing")
    assert get["headers"] == head["headers"]


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/v1/models"])
def test_cacheable_response_is_304_for_a_known_etag(app, path) -> None:
    first = call(app, rest("GET", path))
    tag = first["headers"]["ETag"]
    again = call(app, rest("GET", path, headers={"If-None-Match": f'"other", W/{tag}'}))
    assert (again["statusCode"], again["body"], again["headers"]["ETag"]) == (304, "", tag)
    assert "Content-Type" not in again["headers"]
    assert call(app, rest("GET", path, headers={"If-None-Match": '"other"'}))["statusCode"] == 200
    assert first["headers"]["Cache-Control"] != "no-store"


def test_etags_follow_the_body() -> None:
    assert cacheable("a", {}, "").headers["ETag"] != cacheable("b", {}, "").headers["ETag"]


def test_the_page_allows_its_own_inline_code_and_nothing_else(tmp_path) -> None:
    (tmp_path / "index.html").write_text(
        "<style>a{}</style><script>1</script><script type='application/json'>{{facts}}</script>"
    )
    policy = webpage.load(FACTS, folder=tmp_path)[1]["Content-Security-Policy"]
    # printf 1 | openssl dgst -sha256 -binary | base64
    assert "'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='" in policy
    assert policy.count("sha256-") == 2
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "connect-src 'self';" in policy
    origin = "https://uploads.s3.eu-west-1.amazonaws.com"
    assert f"connect-src 'self' {origin};" in webpage.load(FACTS, (origin,), tmp_path)[1]["Content-Security-Policy"]


def test_function_without_a_page_returns_not_found(tmp_path) -> None:
    with pytest.raises(NotFound):
        webpage.load(FACTS, folder=tmp_path)


def test_card_text_is_escaped_in_the_page_and_gets_no_csp_hash(tmp_path) -> None:
    (tmp_path / "index.html").write_text(
        "<title>{{title}}</title><p>{{description}}</p><script>1</script>"
        "<script type='application/json'>{{facts}}</script>"
    )
    text = "</script><script>alert(1)</script><!--{{facts}}&\u2028"
    hostile = webpage.Facts("tiny", "1.0.0", text, (), "{}")
    page, headers = webpage.load(hostile, folder=tmp_path)
    assert page.count("<script") == page.count("</script") == 2
    assert "<!--" not in page
    facts = page.rpartition("<script type='application/json'>")[2].removesuffix("</script>")
    assert json.loads(facts)["description"] == text
    assert html.unescape(page.partition("<p>")[2].partition("</p>")[0]) == text
    plain = webpage.load(FACTS, folder=tmp_path)[1]
    assert headers["Content-Security-Policy"] == plain["Content-Security-Policy"]


def test_samples_match_the_models_labels_and_are_unlabelled(tmp_path) -> None:
    (tmp_path / "index.html").write_text("{{samples}}")
    (tmp_path / "samples.json").write_text('[{"labels": ["b", "a"], "pictures": ["data:1"]}]')
    assert webpage.load(FACTS, folder=tmp_path)[0] == '["data:1"]'
    assert webpage.load(FACTS._replace(labels=("a", "c")), folder=tmp_path)[0] == "[]"
    (tmp_path / "samples.json").unlink()
    assert webpage.load(FACTS._replace(name="other"), folder=tmp_path)[0] == "[]"


def test_the_page_is_html(app) -> None:
    answer = call(app, rest("GET", "/"))
    assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert "sha256-" in answer["headers"]["Content-Security-Policy"]
    assert answer["body"].lower().startswith("<!doctype html>")


def test_upload_is_presigned_and_then_classified(app, monkeypatch) -> None:
    monkeypatch.setattr("loupe.sources.s3_reader.connect", lambda _: FakePresigner())
    answer = body_of(call(app, rest(path="/v1/uploads")))
    assert set(answer) == {"upload", "s3"}
    assert set(answer["upload"]) == {"url", "fields", "expires_at", "max_bytes"}
    is_problem(call(app, rest(**json_body({"s3": answer["s3"]}))), 422, "s3_unreachable")


class FakePresigner:
    def generate_presigned_post(self, bucket, key, **options):
        return {"url": f"https://{bucket}.s3.amazonaws.com/", "fields": {"key": key, **options["Fields"]}}


def test_without_a_bucket_uploads_are_off(classifier) -> None:
    is_problem(call(make_app(classifier), rest(path="/v1/uploads")), 404, "uploads_off")


def preflight(path="/v1/classify", origin="https://a.example"):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return rest("OPTIONS", path, headers=headers)


def test_cors_off_sends_no_headers(app) -> None:
    for event in (preflight(), rest(body=IMAGE, headers={"Origin": "https://a.example"})):
        assert not [name for name in call(app, event)["headers"] if name.startswith(("Access-Control", "Vary"))]


@pytest.mark.parametrize("event", [rest(body=IMAGE), rest(body=b"x"), rest("GET", "/v1/models"), rest("GET", "/none")])
def test_cors_headers_are_in_every_response_to_an_allowed_origin(classifier, event) -> None:
    app = make_app(classifier, cors_origins=("https://a.example", "https://b.example"))
    event = {**event, "headers": {"origin": "https://b.example"}}
    headers = call(app, event)["headers"]
    assert headers["Access-Control-Allow-Origin"] == "https://b.example"
    exposed = "X-Request-Id, Server-Timing, Retry-After, Location, X-Cache, X-Experiment"
    assert headers["Access-Control-Expose-Headers"] == exposed
    assert headers["Vary"] == "Origin"
    other = call(app, {**event, "headers": {"origin": "https://evil.example"}})["headers"]
    assert "Access-Control-Allow-Origin" not in other
    assert other["Vary"] == "Origin"


def test_cors_for_all(classifier) -> None:
    headers = call(make_app(classifier, cors_origins=("*",)), rest(body=IMAGE))["headers"]
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in headers


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_preflight_lists_the_methods_of_the_path(classifier, route) -> None:
    app = make_app(classifier, cors_origins=("https://a.example",))
    answer = call(app, preflight(route.path))
    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert answer["headers"]["Access-Control-Allow-Methods"] == ", ".join(methods(route))
    assert "X-Api-Key" in answer["headers"]["Access-Control-Allow-Headers"]
    rejected = call(app, preflight(route.path, "https://evil.example"))
    assert "Access-Control-Allow-Methods" not in rejected["headers"]


def test_routes_match_with_and_without_a_trailing_slash() -> None:
    assert find("POST", "/v1/classify/") == find("POST", "/v1/classify") == Route("POST", "/v1/classify", "classify")
    assert find("GET", "/").name == "page"


def test_consecutive_images_do_not_mix(app) -> None:
    labels = [body_of(call(app, rest(body=data)))["label"] for data in (IMAGE, png(solid(BLUE)), IMAGE)]
    assert labels == ["red", "blue", "red"]
