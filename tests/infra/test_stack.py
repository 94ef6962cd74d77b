"""The template says what a reviewer would look for. What a snapshot alone would let pass is asserted here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import base_image
from infra.contract import read_contract
from infra.sources import Sources
from tests.infra.synthesis import ROOT, Synthesized, synthesize
from tests.infra.variants import OPTIONS

ALARMS = {
    "FunctionErrorRate", "FunctionThrottles", "FunctionDurationP99", "ApiErrorRate", "ApiLatencyP99",
    "ServerFaultRate", "UndecodableImageRate", "ColdStartRate",
}  # fmt: skip
RELEASE_ALARMS = {
    "ReleaseErrors-<version>", "ReleaseFaults-<version>", "ReleaseLatency-<version>", "ReleaseSynthetic-<version>",
}  # fmt: skip
LOCATIONS_ONLY: dict[str, Any] = {
    "inputs": {"uploads": {"enabled": False}, "s3": {"locations": ["photos", "archive/2026/"]}}, "bulk": None
}  # fmt: skip
BULK_ALARMS = {"BulkJobsFailed", "BulkFunctionErrorRate", "JobsFunctionErrors"}


def test_the_function_has_its_settings(prod: Synthesized) -> None:
    function = prod.only("AWS::Lambda::Function")
    assert function["FunctionName"] == "loupe-prod"
    assert function["PackageType"] == "Image"
    assert function["MemorySize"] == 1769
    assert function["Timeout"] == 15
    assert function["EphemeralStorage"] == {"Size": 512}
    assert function["ReservedConcurrentExecutions"] == 50
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["Architectures"] == ["x86_64"]
    assert function["Environment"]["Variables"]["LOUPE_MODEL"] == "hair-type"
    assert function["Environment"]["Variables"]["LOUPE_URL_POLICY"] == "off"
    assert function["Environment"]["Variables"]["LOUPE_URL_SCHEMES"] == "https"


def test_the_function_accepts_every_variable(synthesized: Synthesized, tmp_path) -> None:
    from loupe.settings import Settings

    variables = synthesized.only("AWS::Lambda::Function")["Environment"]["Variables"]
    # Values known only at deployment are references in the template.
    resolved = {name: value if isinstance(value, str) else "some-bucket" for name, value in variables.items()}
    parsed = Settings.from_environment(resolved, tmp_path)
    assert parsed.environment == synthesized.name
    assert (parsed.url.policy == "off") == (synthesized.name in ("staging", "prod"))


def test_the_image_is_built_here_or_named(synthesized: Synthesized) -> None:
    uri = json.dumps(synthesized.only("AWS::Lambda::Function")["Code"]["ImageUri"])
    if synthesized.name == "local":
        assert "loupe:local" in uri
    else:
        assert "container-assets" in uri


def test_the_image_asset_is_this_dockerfile_with_the_chosen_model(prod: Synthesized) -> None:
    (manifest,) = prod.folder.glob("*.assets.json")
    (image,) = json.loads(manifest.read_text())["dockerImages"].values()
    assert image["source"]["dockerFile"] == "function/Dockerfile"
    assert image["source"]["dockerBuildArgs"] == {"MODEL": "hair-type", **base_image.build_args(None, "x86_64")}
    context = prod.folder / image["source"]["directory"]
    files = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
    assert "function/handler.py" in files
    assert "models/hair-type/model.onnx" in files
    strangers = {name for name in files if not name.startswith(("function/", "models/hair-type/"))}
    assert strangers <= {".dockerignore"}
    # The release functions run the same image.
    assert "models/hair-type/golden/curly-1.jpg" in files
    assert not [name for name in files if name.endswith((".pyc", ".md"))]


def test_every_image_is_built_on_the_locked_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = f"sha256:{'a' * 64}"
    lock = tmp_path / "base-image.lock"
    lock.write_text(json.dumps({"image": "registry.example/python:3.13", "digests": {"linux/amd64": digest}}))
    monkeypatch.setattr(Sources, "base_lock", lock)
    jwt = {"issuer": "https://issuer.example", "audience": ["a"]}
    settings = {"image": {"require_locked_base": True}, "auth": {"mode": "jwt", "jwt": jwt}}
    built = synthesize("dev", settings, fresh=True)
    images = json.loads(next(built.folder.glob("*.assets.json")).read_text())["dockerImages"].values()
    bases = [image["source"]["dockerBuildArgs"]["BASE"] for image in images]
    assert bases == [f"registry.example/python@{digest}"] * 2


def test_a_base_image_may_bring_the_models_files() -> None:
    built = synthesize("dev", {"image": {"base": "registry.example/model:v1"}})
    (image,) = json.loads(next(built.folder.glob("*.assets.json")).read_text())["dockerImages"].values()
    assert image["source"]["dockerBuildArgs"] == {"MODEL": "hair-type", "BASE": "registry.example/model:v1"}


def test_the_role_may_write_its_log_and_traces_and_use_its_uploads_only(prod: Synthesized) -> None:
    statements = [
        statement
        for name, policy in prod.resources("AWS::IAM::Policy").items()
        if name.startswith("Classifier")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    actions = {action for statement in statements for action in _list(statement["Action"])}
    assert actions == {
        "logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords",
        "s3:GetObject", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey",
    }  # fmt: skip
    (role,) = (resource for name, resource in prod.resources("AWS::IAM::Role").items() if name.startswith("Classifier"))
    assert "ManagedPolicyArns" not in role["Properties"]


def test_log_groups_expire_and_prod_retains_them(synthesized: Synthesized) -> None:
    groups = synthesized.resources("AWS::Logs::LogGroup")
    # Of the endpoint, its API, its firewall; of bulk jobs: two functions and the state machine; of releases: three
    # functions.
    assert len(groups) == (9 if synthesized.name in ("staging", "prod") else 5)
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] > 0
        assert group["DeletionPolicy"] == ("RetainExceptOnCreate" if synthesized.name == "prod" else "Delete")


def test_the_api_calls_the_alias(prod: Synthesized) -> None:
    prod.check.has_resource_properties("AWS::Lambda::Alias", {"Name": "live"})
    for method in prod.resources("AWS::ApiGateway::Method").values():
        uri = json.dumps(method["Properties"]["Integration"]["Uri"])
        assert "Alias" in uri, uri
        assert method["Properties"]["Integration"]["TimeoutInMillis"] == 29_000


def test_routes_and_their_authorization(synthesized: Synthesized) -> None:
    parents = {
        name: resource["Properties"] for name, resource in synthesized.resources("AWS::ApiGateway::Resource").items()
    }

    def path(resource_id: Any) -> str:
        name = resource_id.get("Ref", "")
        if name not in parents:
            return ""
        return f"{path(parents[name]['ParentId'])}/{parents[name]['PathPart']}"

    methods = {
        (method["Properties"]["HttpMethod"], path(method["Properties"]["ResourceId"])): method["Properties"][
            "ApiKeyRequired"
        ]
        for method in synthesized.resources("AWS::ApiGateway::Method").values()
    }
    assert methods[("POST", "/v1/classify")] is True
    assert methods[("GET", "/v1/models")] is True
    assert methods[("GET", "/v1/health")] is False
    assert {("HEAD", "/v1/health"), ("POST", "/v1/uploads"), ("GET", ""), ("GET", "/openapi.json")} <= set(methods)
    assert not [method for method, _ in methods if method == "OPTIONS"]


def test_the_upload_bucket_is_private_encrypted_and_emptied(prod: Synthesized) -> None:
    bucket = prod.only("AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 1
    policy = json.dumps(prod.only("AWS::S3::BucketPolicy"))
    assert '"aws:SecureTransport": "false"' in policy


def test_without_uploads_there_is_no_bucket() -> None:
    plain = synthesize("dev", LOCATIONS_ONLY)
    assert not plain.resources("AWS::S3::Bucket")
    assert "LOUPE_UPLOAD_BUCKET" not in plain.only("AWS::Lambda::Function")["Environment"]["Variables"]
    assert "s3:PutObject" not in json.dumps(plain.resources("AWS::IAM::Policy"))


def test_s3_locations_open_their_objects_only() -> None:
    reading = synthesize("dev", LOCATIONS_ONLY)
    variables = reading.only("AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables["LOUPE_S3_LOCATIONS"] == "photos,archive/2026/"
    policies = json.dumps(reading.resources("AWS::IAM::Policy"))
    assert ":s3:::photos/*" in policies
    assert ":s3:::archive/2026/*" in policies
    assert "s3:ListBucket" not in policies


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        (["https://a.example"], "'https://a.example'"),
        (["*"], "'*'"),
        (["https://a.example", "https://b.example"], "method.request.header.Origin"),
    ],
)
def test_cors_reaches_preflights_and_the_gateways_own_problems(origins: list[str], allowed: str) -> None:
    crossing = synthesize("dev", {**OPTIONS, "api": {**OPTIONS["api"], "cors_origins": origins}})
    preflights = [
        resource["Properties"]
        for resource in crossing.resources("AWS::ApiGateway::Method").values()
        if resource["Properties"]["HttpMethod"] == "OPTIONS"
    ]
    assert len(preflights) >= 6
    assert not any(preflight["ApiKeyRequired"] for preflight in preflights)
    for response in crossing.resources("AWS::ApiGateway::GatewayResponse").values():
        headers = response["Properties"]["ResponseParameters"]
        assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == allowed
    (rule,) = crossing.only("AWS::S3::Bucket")["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"][-len(origins) :] == origins
    # The endpoint's own page uploads too.
    assert origins == ["*"] or "https://*.execute-api." in json.dumps(rule["AllowedOrigins"][0])


def test_the_stage_throttles_and_logs_without_secrets(prod: Synthesized) -> None:
    stage = prod.only("AWS::ApiGateway::Stage")
    (settings,) = (setting for setting in stage["MethodSettings"] if setting["ResourcePath"] == "/*")
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (100, 200)
    for setting in stage["MethodSettings"]:
        assert setting["MetricsEnabled"] is False
        assert not setting["DataTraceEnabled"]
    log = json.loads(stage["AccessLogSetting"]["Format"])
    assert log["request_id"] == "$context.requestId"
    assert "$context.identity.apiKey" not in log.values()
    # What a caller may choose freely, quotes included; API Gateway does not escape it.
    assert not {"$context.identity.userAgent", "$context.path", "$context.domainName"} & set(log.values())


def test_method_metrics_are_off_by_default() -> None:
    stage = synthesize("dev", OPTIONS).only("AWS::ApiGateway::Stage")
    assert {settings["MetricsEnabled"] for settings in stage["MethodSettings"]} == {True}


def test_bodies_of_all_media_types_are_binary(prod: Synthesized) -> None:
    assert prod.only("AWS::ApiGateway::RestApi")["BinaryMediaTypes"] == ["*/*"]
    assert prod.only("AWS::ApiGateway::RestApi")["EndpointConfiguration"]["Types"] == ["REGIONAL"]


def test_gateway_responses_are_problems(prod: Synthesized) -> None:
    responses = {
        response["Properties"]["ResponseType"]: response["Properties"]
        for response in prod.resources("AWS::ApiGateway::GatewayResponse").values()
    }
    assert set(responses) == set(read_contract(ROOT / "docs" / "openapi.json").problems)
    for response in responses.values():
        body = json.loads(response["ResponseTemplates"]["application/json"])
        assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
        assert str(body["status"]) == response["StatusCode"]
        headers = response["ResponseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"


def test_busy_and_throttled_responses_have_retry_after(prod: Synthesized) -> None:
    retry_after = {
        response["Properties"]["ResponseType"]: (response["Properties"]["StatusCode"], value)
        for response in prod.resources("AWS::ApiGateway::GatewayResponse").values()
        for name, value in response["Properties"]["ResponseParameters"].items()
        if name == "gatewayresponse.header.Retry-After"
    }
    assert retry_after == {"THROTTLED": ("429", "'1'"), "INTEGRATION_FAILURE": ("503", "'1'")}


def test_the_gateway_validates_no_body(synthesized: Synthesized) -> None:
    """Bodies reach it as bytes, and no method has a mock integration, which would need text."""
    assert not synthesized.resources("AWS::ApiGateway::Model")
    assert not synthesized.resources("AWS::ApiGateway::RequestValidator")
    integrations = synthesized.resources("AWS::ApiGateway::Method").values()
    assert {method["Properties"]["Integration"]["Type"] for method in integrations} == {"AWS_PROXY"}


def test_the_topic_is_encrypted_and_cloudwatch_may_use_its_key(prod: Synthesized) -> None:
    assert prod.only("AWS::SNS::Topic")["KmsMasterKeyId"]
    key = prod.only("AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True
    assert any(
        statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        and set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
        for statement in key["KeyPolicy"]["Statement"]
    )


def test_subscriptions_come_from_the_settings() -> None:
    subscribed = synthesize("dev", OPTIONS)
    assert subscribed.only("AWS::SNS::Subscription")["Endpoint"] == "ops@example.com"


def test_alarms_notify_the_topic_and_describe_the_response(synthesized: Synthesized) -> None:
    alarms = {
        alarm["Properties"]["AlarmName"].removeprefix(f"loupe-{synthesized.name}-"): alarm["Properties"]
        for alarm in synthesized.resources("AWS::CloudWatch::Alarm").values()
    }
    with_reserve = {"FunctionConcurrency"} if synthesized.name != "dev" else set()
    arrivals = {"ArrivalsAge", "ArrivalsDeadLetters"} if synthesized.name == "local" else set()
    firewall = {"FirewallBlocks"} if synthesized.name in ("staging", "prod") else set()
    release = RELEASE_ALARMS if synthesized.name in ("staging", "prod") else set()
    assert set(alarms) == ALARMS | BULK_ALARMS | arrivals | with_reserve | firewall | release
    topic = [{"Ref": next(iter(synthesized.resources("AWS::SNS::Topic")))}]
    for alarm in alarms.values():
        # The composite alarm sends the messages of those that page; the local cloud has none.
        silent = alarm["AlarmDescription"].startswith("page: ") and synthesized.name != "local"
        assert alarm["AlarmActions"] == alarm["OKActions"] == ([] if silent else topic)
        assert len(alarm["AlarmDescription"]) > 40
        assert alarm["TreatMissingData"] == "notBreaching"


def test_one_message_for_all_alarms_that_page(prod: Synthesized) -> None:
    outage = prod.only("AWS::CloudWatch::CompositeAlarm")
    paging = {
        logical_id
        for logical_id, alarm in prod.resources("AWS::CloudWatch::Alarm").items()
        if alarm["Properties"]["AlarmDescription"].startswith("page: ")
    }
    assert len(paging) == 4
    parts = outage["AlarmRule"]["Fn::Join"][1]
    assert {part["Fn::GetAtt"][0] for part in parts if isinstance(part, dict)} == paging
    text = "".join(part if isinstance(part, str) else "ARN" for part in parts)
    assert text == " OR ".join(['ALARM("ARN")'] * len(paging))
    topic = {"Ref": next(iter(prod.resources("AWS::SNS::Topic")))}
    assert outage["AlarmActions"] == outage["OKActions"] == [topic]


def test_alarms_can_be_turned_off() -> None:
    quiet = synthesize("dev", {"alarms": {"enabled": False}})
    assert not quiet.resources("AWS::CloudWatch::Alarm")
    assert not quiet.resources("AWS::CloudWatch::CompositeAlarm")


def test_every_alarm_sends_its_own_message_without_the_composite_alarm() -> None:
    separate = synthesize("dev", OPTIONS)
    assert not separate.resources("AWS::CloudWatch::CompositeAlarm")
    assert all(alarm["Properties"]["AlarmActions"] for alarm in separate.resources("AWS::CloudWatch::Alarm").values())


@pytest.mark.parametrize("output", ["Url", "FunctionName", "FunctionAlias", "AlarmTopicArn", "ApiKeyId"])
def test_outputs(synthesized: Synthesized, output: str) -> None:
    assert synthesized.template["Outputs"][output]["Value"]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_an_image_from_ecr_is_deployed_by_its_digest() -> None:
    digest = f"sha256:{'0a' * 32}"
    image = {"source": "ecr", "repository": "team/loupe", "digest": digest}
    deployed = synthesize("dev", {"image": image})
    assert f"team/loupe@{digest}" in json.dumps(deployed.only("AWS::Lambda::Function")["Code"])
