"""The contract: valid, complete, equal to the committed files and to the behaviour of the function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from events import Context, body_of, form_body, json_body, rest
from fakes import FakeS3, make_app, problem_of
from images import RED, jpeg, solid
from jsonschema import Draft202012Validator
from loupe.card import load_card
from loupe.errors import UrlNotAllowed, all_problems
from loupe.http.envelope import unwrap
from loupe.http.request import batch_from_http, from_http
from loupe.http.routes import MODEL_ROUTES, ROUTES
from loupe.image import Limits
from loupe.jobs.routes import JOB_ROUTES, MODEL_JOB_ROUTES
from loupe.models import Models
from loupe.prediction import ModelInfo
from loupe.service import Service
from loupe.sources import EXACTLY_ONE, PARSERS
from loupe.sources.s3 import S3Location, S3Rules
from loupe.sources.url import MAX_URL_CHARACTERS, UrlRules
from loupe.sources.url_fetcher import Fetcher
from openapi_spec_validator import OpenAPIV31SpecValidator

from tools.contract import __main__ as generator
from tools.contract import document
from tools.contract.jobs import JOB_OPERATIONS, MODEL_JOB_OPERATIONS
from tools.contract.operations import MODEL_OPERATIONS, OPERATIONS
from tools.contract.problems import EXAMPLES, GATEWAY_PROBLEMS
from tools.contract.tables import TABLES

PROJECT = Path(__file__).parents[2]
DOCUMENT = document()
IMAGE = jpeg(solid(RED))
OPERATION_LIST = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
IDS = [operation["operationId"] for _, _, operation in OPERATION_LIST]
FILES = (generator.DOCUMENT, *generator.SERVED.values(), generator.TABLES_PAGE)
REGENERATE = "run 'make openapi'"


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]})


def resolve(value):
    if "$ref" not in value:
        return value
    node = DOCUMENT
    for key in value["$ref"].removeprefix("#/").split("/"):
        node = node[key]
    return node


def test_it_is_a_valid_openapi_document() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_committed_files_are_the_generated_ones(path) -> None:
    assert (PROJECT / path).read_text("utf-8") == generator.contents(PROJECT)[path], REGENERATE


def test_the_page_of_the_api_has_every_table() -> None:
    page = (PROJECT / generator.TABLES_PAGE).read_text("utf-8")
    assert [name for name in TABLES if f"<!-- table: {name} -->" not in page] == []


@pytest.mark.parametrize(("jobs", "models"), generator.SERVED)
def test_the_function_serves_the_document(classifier, jobs, models) -> None:
    several = Models(Path(), ["tiny", "other"], lambda _: Service(classifier)) if models else None
    app = make_app(classifier, jobs=jobs, models=several)
    answer = app.http(rest("GET", "/openapi.json"), Context())
    assert body_of(answer) == document(jobs=jobs, models=models)
    again = app.http(rest("GET", "/openapi.json", headers={"If-None-Match": answer["headers"]["ETag"]}), Context())
    assert again["statusCode"] == 304


def test_the_command_writes_every_file(tmp_path) -> None:
    for path in FILES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / generator.TABLES_PAGE).write_text("a\n<!-- table: problems -->\nold\n<!-- end -->\nb\n")
    generator.main(tmp_path)
    for path in (generator.DOCUMENT, generator.SERVED[True, True]):
        assert json.loads((tmp_path / path).read_text()) == DOCUMENT
    page = (tmp_path / generator.TABLES_PAGE).read_text()
    assert "image_undecodable" in page
    assert "old" not in page
    assert (page[:2], page[-3:]) == ("a\n", "\nb\n")


def test_every_route_and_no_other_is_described() -> None:
    described = {(method.upper(), path) for method, path, _ in OPERATION_LIST}
    served = {(route.method, route.path) for route in (*ROUTES, *MODEL_ROUTES)}
    served |= {(route.method, route.path) for route in (*JOB_ROUTES, *MODEL_JOB_ROUTES)}
    served |= {("HEAD", route.path) for route in (*ROUTES, *JOB_ROUTES) if route.method == "GET"}
    assert described == served
    assert set(OPERATIONS) == {route.name for route in ROUTES}
    assert set(MODEL_OPERATIONS) == {route.name for route in MODEL_ROUTES}
    assert set(JOB_OPERATIONS) == {route.name for route in JOB_ROUTES}
    assert set(MODEL_JOB_OPERATIONS) == {route.name for route in MODEL_JOB_ROUTES}
    assert len(set(IDS)) == len(IDS)


def test_only_a_deployment_with_bulk_jobs_or_several_models_describes_them() -> None:
    without = document(jobs=False, models=False)
    OpenAPIV31SpecValidator(without).validate()
    assert set(without["paths"]) == {route.path for route in ROUTES}
    assert not [name for name in without["components"]["schemas"] if name.startswith("Job")]
    marked = {path for _, path, operation in OPERATION_LIST if operation.get("x-loupe-feature") == "bulk"}
    assert marked == {route.path for route in JOB_ROUTES}
    for jobs, models in ((True, False), (False, True), (True, True)):
        paths = document(jobs=jobs, models=models)["paths"]
        assert all((route.path in paths) is (jobs and models) for route in MODEL_JOB_ROUTES)


def test_only_keyed_routes_have_a_security_scheme() -> None:
    for route in ROUTES:
        security = DOCUMENT["paths"][route.path][route.method.lower()]["security"]
        assert security == ([{"apiKey": []}] if route.keyed else [])
    assert [route.path for route in ROUTES if not route.keyed] == ["/v1/health", "/openapi.json", "/"]


def test_every_code_has_an_example_that_conforms() -> None:
    assert set(EXAMPLES) == set(all_problems())
    assert len(all_problems()) == len({kind.code for kind in all_problems()})
    codes = {kind.code for kind in all_problems()} | {problem.code for problem in GATEWAY_PROBLEMS}
    assert set(DOCUMENT["components"]["examples"]) == codes
    assert set(DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == codes
    for example in DOCUMENT["components"]["examples"].values():
        validator("Problem").validate(example["value"])


def test_every_code_that_a_whole_request_may_end_with_is_on_an_operation() -> None:
    described = {
        code
        for _, _, operation in OPERATION_LIST
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        for code in content.get("examples", {})
    }
    # Three are only ever an item's; the fourth answers methods that the document does not have.
    elsewhere = {"deadline_exceeded", "result_too_large", "item_invalid", "method_not_allowed"}
    assert {kind.code for kind in all_problems()} - described == elsewhere


@pytest.mark.parametrize(("method", "path", "operation"), OPERATION_LIST, ids=IDS)
def test_examples_conform_to_their_schemas(method, path, operation) -> None:
    for content in [operation.get("requestBody", {}), *operation["responses"].values()]:
        for media in content.get("content", {}).values():
            for example in media.get("examples", {}).values():
                schema = {**media["schema"], "components": DOCUMENT["components"]}
                Draft202012Validator(schema).validate(resolve(example)["value"])


def test_alternatives_are_named_schemas() -> None:
    """Code generators create a type for a named schema, but ``Any`` or nothing for an inline alternative."""

    def alternatives(schema: Any) -> Iterator[Any]:
        if isinstance(schema, dict):
            yield from schema.get("oneOf", [])
            for inner in schema.values():
                yield from alternatives(inner)
        elif isinstance(schema, list):
            for inner in schema:
                yield from alternatives(inner)

    schemas = DOCUMENT["components"]["schemas"]
    names = [alternative["$ref"].rpartition("/")[2] for alternative in alternatives(schemas)]
    assert len(names) > 6
    for name in names:
        assert schemas[name]["type"] == "object"
        assert schemas[name]["required"]
    for _, _, operation in OPERATION_LIST:
        for media in operation.get("requestBody", {}).get("content", {}).values():
            assert "$ref" in media["schema"] or media["schema"]["format"] == "binary"


def test_the_fetcher_has_the_same_limit_for_urls() -> None:
    looked_up = []
    fetcher = Fetcher(UrlRules(policy="public"), 10, lambda *arguments: looked_up.append(arguments) or ())
    url = "https://example.com/".ljust(MAX_URL_CHARACTERS, "a")
    assert isinstance(problem_of(fetcher.fetch, url + "a"), UrlNotAllowed)
    assert not looked_up
    assert isinstance(problem_of(fetcher.fetch, url), UrlNotAllowed)  # it has no address, but it was looked up
    assert looked_up


def request_examples(path):
    examples = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"]
    return [example["value"] for example in examples.values()]


def test_parser_accepts_the_examples() -> None:
    kinds = {type(from_http(unwrap(rest(**json_body(value))), Limits()).source).__name__
             for value in request_examples("/v1/classify")}  # fmt: skip
    assert kinds == {"Inline", "Url", "S3Object"}
    for value in request_examples("/v1/classify/batch"):
        assert len(batch_from_http(unwrap(rest(**json_body(value))), Limits(), 32).items) == len(value["items"])


@pytest.mark.parametrize(
    "value",
    [{}, {"url": ""}, {"url": "a", "image": "b"}, {"s3": {"bucket": "b"}}, {"s3": {"bucket": "b", "key": "a\nb"}},
     {"url": "a", "top": 0}, {"url": "a", "top": None}, {"url": "a", "top": "3"}, {"url": "a", "x": 1}, {"image": 3}],
)  # fmt: skip
def test_schema_and_parser_reject_the_same(value) -> None:
    assert list(validator("ClassifyRequest").iter_errors(value))
    answer = make_app_of(None).http(rest(**json_body(value)), Context())
    assert answer["statusCode"] == 400


def test_schemas_and_parsers_have_the_same_sources() -> None:
    for name in ("ImageSource", "ClassifyRequest"):
        alternatives = [resolve(option) for option in DOCUMENT["components"]["schemas"][name]["oneOf"]]
        assert sorted(key for option in alternatives for key in option["required"]) == sorted(PARSERS)
    assert all(f'"{key}"' in EXACTLY_ONE for key in PARSERS)


def make_app_of(classifier, **options):
    class Nothing:
        card = load_card(PROJECT / "models" / "hair-type")
        limits = Limits()
        info = ModelInfo.of(card)

    return make_app(classifier or Nothing(), **options)


@pytest.fixture
def app(classifier):
    rules = S3Rules((S3Location("photos"),))
    return make_app(
        classifier, pages={"https://a": IMAGE}, s3=FakeS3({("photos", "a"): IMAGE}), s3_rules=rules, max_batch=3
    )


REQUEST_LIST = [
    rest(body=IMAGE),
    rest(**json_body({"url": "https://a", "top": 1})),
    rest(**json_body({"s3": {"bucket": "photos", "key": "a"}})),
    rest(**form_body(("file", IMAGE, "a.jpg", None))),
    rest(path="/v1/classify/batch", **json_body({"items": [{"url": "https://a"}, {"url": "https://b"}, None]})),
    rest(path="/v1/classify/batch", **json_body({"items": [{}] * 4})),
    rest(path="/v1/uploads"),
    rest(path="/v1/uploads", **json_body({"bucket": "mine"})),
    rest("GET", "/v1/models"),
    rest("GET", "/v1/health"),
    rest("GET", "/openapi.json"),
    rest("GET", "/"),
    rest("HEAD", "/v1/health"),
    rest(),
    rest(body=b"%PDF"),
    rest(body=IMAGE[:300]),
    rest(**json_body({"url": "https://none"})),
    rest(**json_body({"s3": {"bucket": "other", "key": "a"}})),
    rest(**json_body({"s3": {"bucket": "photos", "key": "none"}})),
]


@pytest.mark.parametrize("event", REQUEST_LIST)
def test_responses_conform_to_the_document(app, event) -> None:
    answer = app.http(event, Context())
    operation = DOCUMENT["paths"][event["path"]][event["httpMethod"].lower()]
    response = operation["responses"][str(answer["statusCode"])]
    # Only a deployment with an experiment sends it: test_assignment.py.
    assert set(response["headers"]) - {"X-Experiment"} <= set(answer["headers"])
    kind = answer["headers"]["Content-Type"].partition(";")[0]
    if event["httpMethod"] == "HEAD":
        assert (answer["body"], "content" in response) == ("", False)
        return
    media = response["content"][kind]
    if kind == "text/html":
        return
    body = body_of(answer)
    Draft202012Validator({**media["schema"], "components": DOCUMENT["components"]}).validate(body)
    if kind == "application/problem+json":
        assert body["code"] in media["examples"]


def test_the_gateways_problems_are_ready_for_the_stack() -> None:
    gateway = DOCUMENT["x-loupe-gateway"]
    names = [name for problem in GATEWAY_PROBLEMS for name in problem.responses]
    assert sorted(gateway["responses"]) == sorted(set(names)) == sorted(names)
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} < set(names)
    for name, problem in gateway["responses"].items():
        validator("Problem").validate(problem)
        assert problem["request_id"] == "$context.requestId", name
    assert set(gateway["retryAfter"]) == {"THROTTLED", "INTEGRATION_FAILURE"}


def test_every_body_reaches_the_function_as_bytes() -> None:
    assert DOCUMENT["x-loupe-gateway"]["binaryMediaTypes"] == ["*/*"]


def expanded(value: Any) -> Any:
    """Return a part of the document with its references replaced by the schemas."""
    if isinstance(value, dict):
        if "$ref" in value:
            return expanded(resolve(value))
        return {key: expanded(item) for key, item in value.items() if key != "examples"}
    return [expanded(item) for item in value] if isinstance(value, list) else value


def test_paths_whose_bodies_hold_images_are_named() -> None:
    """By their schemas: an image type, or a property `image` somewhere within."""
    holding = set()
    for _, path, operation in OPERATION_LIST:
        content = operation.get("requestBody", {}).get("content", {})
        if any(kind.startswith("image/") for kind in content) or '"image"' in json.dumps(expanded(content)):
            holding.add(path)
    # infra puts the names of the deployed models into the paths of the other routes.
    assert holding == {*DOCUMENT["x-loupe-gateway"]["imagePaths"], *(route.path for route in MODEL_ROUTES)}


def test_busy_and_failed_functions_return_the_same_response() -> None:
    """API Gateway has one response type for a throttled invocation and for a function that failed."""
    problem = DOCUMENT["x-loupe-gateway"]["responses"]["INTEGRATION_FAILURE"]
    assert (problem["status"], problem["code"]) == (503, "service_unavailable")
    assert "busy" in problem["detail"]
    assert "failed" in problem["detail"]
