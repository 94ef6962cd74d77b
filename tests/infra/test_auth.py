"""Authorization modes: what each method requires, and the credentials that the stack creates."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.settings import SettingsError, load_settings
from tests.infra.synthesis import ROOT, Synthesized, context, synthesize
from tests.infra.variants import AUTH_MODES

POOL = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123"
CALLER = "arn:aws:iam::210987654321:role/caller"
OPEN = {"/v1/health", "", "/openapi.json"}


@pytest.fixture(scope="session")
def modes() -> Callable[[str], Synthesized]:
    """Production in a mode, with a page elsewhere that may call it."""
    return lambda mode: synthesize("prod", AUTH_MODES[mode])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _methods(synthesized: Synthesized) -> dict[tuple[str, str], dict[str, Any]]:
    parents = {
        name: resource["Properties"] for name, resource in synthesized.resources("AWS::ApiGateway::Resource").items()
    }

    def path(resource_id: Any) -> str:
        name = resource_id.get("Ref", "")
        return f"{path(parents[name]['ParentId'])}/{parents[name]['PathPart']}" if name in parents else ""

    return {
        (method["Properties"]["HttpMethod"], path(method["Properties"]["ResourceId"])): method["Properties"]
        for method in synthesized.resources("AWS::ApiGateway::Method").values()
    }


@pytest.mark.parametrize("mode", AUTH_MODES)
def test_health_and_preflights_are_open_and_other_routes_require_authorization(modes, mode: str) -> None:
    expected = {"iam": "AWS_IAM", "cognito": "COGNITO_USER_POOLS", "jwt": "CUSTOM"}.get(mode, "NONE")
    methods = _methods(modes(mode))
    closed = {route for route in methods if route[0] != "OPTIONS" and route[1] not in OPEN}
    assert {("POST", "/v1/classify"), ("POST", "/v1/classify/batch"), ("POST", "/v1/uploads")} <= closed
    assert {("GET", "/v1/health"), ("HEAD", "/v1/health"), ("OPTIONS", "/v1/classify")} <= set(methods) - closed
    for name, method in methods.items():
        assert method["AuthorizationType"] == (expected if name in closed else "NONE"), name
        assert method["ApiKeyRequired"] is (mode == "api-key" and name in closed), name
        assert ("AuthorizerId" in method) is (mode in {"cognito", "jwt"} and name in closed), name


def test_each_client_has_a_key_and_a_plan(modes) -> None:
    keyed: Synthesized = modes("api-key")
    keys, plans = keyed.resources("AWS::ApiGateway::ApiKey"), keyed.resources("AWS::ApiGateway::UsagePlan")
    by_name = {plan["Properties"]["UsagePlanName"]: (name, plan["Properties"]) for name, plan in plans.items()}
    assert set(by_name) == {"loupe-prod-app", "loupe-prod-night-batch"}
    app, night = by_name["loupe-prod-app"][1], by_name["loupe-prod-night-batch"][1]
    assert app["Throttle"] == {"RateLimit": 5, "BurstLimit": 10}
    assert app["Quota"] == {"Limit": 1000, "Period": "WEEK"}
    # A client without limits has the stage's.
    assert night["Throttle"] == {"RateLimit": 100, "BurstLimit": 200}
    assert "Quota" not in night
    (stage,) = keyed.resources("AWS::ApiGateway::Stage")
    assert [api_stage["Stage"] for plan in (app, night) for api_stage in plan["ApiStages"]] == [{"Ref": stage}] * 2
    pairs = {
        (link["Properties"]["KeyId"]["Ref"], link["Properties"]["UsagePlanId"]["Ref"])
        for link in keyed.resources("AWS::ApiGateway::UsagePlanKey").values()
    }
    described = {name: key["Properties"]["Description"].rpartition(" ")[2] for name, key in keys.items()}
    assert {(described[key], plan) for key, plan in pairs} == {
        ("app", by_name["loupe-prod-app"][0]),
        ("night-batch", by_name["loupe-prod-night-batch"][0]),
    }
    outputs = {name: output["Value"]["Ref"] for name, output in keyed.template["Outputs"].items() if "ApiKeyId" in name}
    assert {name: described[key] for name, key in outputs.items()} == {
        "ApiKeyId": "app", "ApiKeyIdNightBatch": "night-batch"
    }  # fmt: skip


def test_key_values_come_from_secrets_and_are_never_in_the_template(modes, synthesized: Synthesized) -> None:
    keyed: Synthesized = modes("api-key")
    ((secret, generated),) = keyed.resources("AWS::SecretsManager::Secret").items()
    values = {
        key["Properties"]["Description"].rpartition(" ")[2]: key["Properties"]["Value"]
        for key in keyed.resources("AWS::ApiGateway::ApiKey").values()
    }
    assert values["night-batch"] == "{{resolve:secretsmanager:team/loupe-key:SecretString:::}}"
    assert values["app"] == {"Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": secret}, ":SecretString:::}}"]]}
    assert "SecretString" not in generated["Properties"]
    assert generated["Properties"]["GenerateSecretString"]["PasswordLength"] == 40
    # The key of a removed client may be needed again.
    assert generated["DeletionPolicy"] == "RetainExceptOnCreate"
    for key in synthesized.resources("AWS::ApiGateway::ApiKey").values():
        assert "{{resolve:secretsmanager:" in json.dumps(key["Properties"]["Value"])


def test_a_new_key_version_is_a_new_key() -> None:
    names = []
    for version in (1, 2):
        patch = {"auth": {"clients": {"app": {"key_version": version}}}}
        built = synthesize("dev", patch)
        names.append((*built.resources("AWS::ApiGateway::ApiKey"), *built.resources("AWS::SecretsManager::Secret")))
        plans = set(built.resources("AWS::ApiGateway::UsagePlan"))
    assert not set(names[0]) & set(names[1])
    assert len(plans) == 1


@pytest.mark.parametrize("mode", [mode for mode in AUTH_MODES if mode != "api-key"])
def test_without_keys_there_is_no_key_and_no_plan(modes, mode: str) -> None:
    for kind in ("ApiGateway::ApiKey", "ApiGateway::UsagePlan", "SecretsManager::Secret"):
        assert not modes(mode).resources(f"AWS::{kind}")
    assert "ApiKeyId" not in modes(mode).template["Outputs"]


def test_the_resource_policy_authorizes_other_accounts_and_keeps_open_routes_open(modes) -> None:
    everybody, callers = modes("iam").only("AWS::ApiGateway::RestApi")["Policy"]["Statement"]
    assert callers["Principal"] == {"AWS": CALLER}
    assert callers["Resource"] == "execute-api:/*"
    assert everybody["Principal"] == {"AWS": "*"}
    reached = set(everybody["Resource"])
    assert {
        f"execute-api:/live/{route}" for route in ("GET/", "GET/v1/health", "HEAD/openapi.json", "OPTIONS/v1/classify")
    } <= reached
    assert not [resource for resource in reached if "POST" in resource]
    # Identities of the account need no statement, and one for all routes would authorize every one of them.
    own_account = synthesize("dev", {"auth": {"mode": "iam"}})
    (everybody,) = own_account.only("AWS::ApiGateway::RestApi")["Policy"]["Statement"]
    assert not [resource for resource in everybody["Resource"] if "*" in resource or "classify" in resource]


@pytest.mark.parametrize("mode", AUTH_MODES)
def test_every_mode_writes_a_resource_policy_with_least_privilege(modes, mode: str) -> None:
    """CloudFormation keeps the last policy of an API whose template has none (aws-cdk issue 21840)."""
    statements = modes(mode).only("AWS::ApiGateway::RestApi")["Policy"]["Statement"]
    for_everybody = [statement for statement in statements if statement["Principal"] == {"AWS": "*"}]
    resources = [resource for statement in for_everybody for resource in _listed(statement["Resource"])]
    assert ("execute-api:/*" in resources) is (mode != "iam")


def test_a_user_pool_is_created_with_a_machine_client(modes) -> None:
    built: Synthesized = modes("cognito")
    (pool,) = built.resources("AWS::Cognito::UserPool")
    assert built.only("AWS::Cognito::UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    server = built.only("AWS::Cognito::UserPoolResourceServer")
    assert (server["Identifier"], [scope["ScopeName"] for scope in server["Scopes"]]) == ("loupe", ["classify"])
    client = built.only("AWS::Cognito::UserPoolClient")
    assert client["AllowedOAuthFlows"] == ["client_credentials"]
    assert client["GenerateSecret"] is True
    authorizer = built.only("AWS::ApiGateway::Authorizer")
    assert authorizer["Type"] == "COGNITO_USER_POOLS"
    assert authorizer["ProviderARNs"] == [{"Fn::GetAtt": [pool, "Arn"]}]
    assert _methods(built)["POST", "/v1/classify"]["AuthorizationScopes"] == ["loupe/classify"]
    assert {"UserPoolId", "UserPoolClientId", "TokenUrl"} <= set(built.template["Outputs"])


def test_an_existing_user_pool_is_used() -> None:
    settings = {"mode": "cognito", "cognito": {"user_pool_arn": POOL, "scopes": ["pictures:read", "admin"]}}
    built = synthesize("dev", {"auth": settings})
    assert not built.resources("AWS::Cognito::UserPool")
    assert built.only("AWS::ApiGateway::Authorizer")["ProviderARNs"] == [POOL]
    assert _methods(built)["GET", "/v1/models"]["AuthorizationScopes"] == ["pictures:read", "admin"]


def test_an_authorizer_checks_the_tokens_of_the_issuer(modes) -> None:
    built: Synthesized = modes("jwt")
    (name,) = (
        name
        for name, function in built.resources("AWS::Lambda::Function").items()
        if function["Properties"]["FunctionName"] == "loupe-prod-authorizer"
    )
    authorizer = built.only("AWS::ApiGateway::Authorizer")
    assert (authorizer["Type"], authorizer["AuthorizerResultTtlInSeconds"]) == ("TOKEN", 60)
    assert authorizer["IdentitySource"] == "method.request.header.Authorization"
    assert name in json.dumps(authorizer["AuthorizerUri"])
    pattern = re.compile(authorizer["IdentityValidationExpression"])
    assert pattern.match("Bearer eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl-_")
    assert not [
        token for token in ("eyJ.eyJ.c2", "Basic eyJ.eyJ.c2", "Bearer x", "Bearer a.b.", "") if pattern.match(token)
    ]
    allowed = [
        permission["Properties"]
        for permission in built.resources("AWS::Lambda::Permission").values()
        if permission["Properties"]["FunctionName"] == {"Fn::GetAtt": [name, "Arn"]}
    ]
    assert [permission["Principal"] for permission in allowed] == ["apigateway.amazonaws.com"]
    assert "/authorizers/" in json.dumps(allowed[0]["SourceArn"])
    statements = [
        statement
        for policy_name, policy in built.resources("AWS::IAM::Policy").items()
        if policy_name.startswith("Authorizer")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    actions = {action for statement in statements for action in statement["Action"]}
    assert actions == {
        "logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"
    }  # fmt: skip
    (manifest,) = built.folder.glob("*.assets.json")
    images = [
        sorted(path.name for path in (built.folder / image["source"]["directory"]).iterdir() if path.is_file())
        for image in json.loads(manifest.read_text())["dockerImages"].values()
    ]
    assert [
        ".dockerignore", "Dockerfile", "authorize.py", "documents.py", "issuer.py", "owners.py", "requirements.txt",
        "segments.py", "shared_issuers.json",
    ] in images  # fmt: skip


def test_the_authorizer_reads_its_variables(modes, monkeypatch: pytest.MonkeyPatch) -> None:
    (variables,) = (
        function["Properties"]["Environment"]["Variables"]
        for function in modes("jwt").resources("AWS::Lambda::Function").values()
        if function["Properties"]["FunctionName"] == "loupe-prod-authorizer"
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(ROOT / "authorizer")
    rules, issuer = importlib.import_module("authorize").configured(variables)
    assert (rules.issuer, rules.audience) == ("https://id.example.com/", ("https://images.example",))
    assert (rules.scopes, rules.claims) == ({"classify"}, {"tenant": "acme", "verified": True, "level": 2})
    assert [type(value) for value in rules.claims.values()] == [str, bool, int]
    assert (rules.algorithms, rules.leeway_seconds) == (("RS256", "ES256"), 30)
    assert issuer.url == rules.issuer


def test_an_authorizer_that_a_pipeline_pushed_is_used_by_its_digest() -> None:
    digest = f"sha256:{'0a' * 32}"
    pushed = synthesize("local", {"auth": _jwt(image={"repository": "gate", "digest": digest})})
    assert f"gate@{digest}" in json.dumps(
        [function["Properties"]["Code"] for function in pushed.resources("AWS::Lambda::Function").values()]
    )


@pytest.mark.parametrize(
    ("mode", "field", "value"),
    [
        ("api-key", "api_key_id", "$context.identity.apiKeyId"),
        ("iam", "caller", "$context.identity.userArn"),
        ("cognito", "caller", "$context.authorizer.claims.client_id"),
        ("jwt", "caller", "$context.authorizer.principalId"),
    ],
)
def test_the_access_log_identifies_the_client(modes, mode: str, field: str, value: str) -> None:
    log = json.loads(modes(mode).only("AWS::ApiGateway::Stage")["AccessLogSetting"]["Format"])
    assert log[field] == value
    assert "$context.identity.apiKey" not in log.values()


JWT: dict[str, Any] = AUTH_MODES["jwt"]["auth"]


def _jwt(**changed: Any) -> dict[str, Any]:
    return {**JWT, "jwt": {**JWT["jwt"], **changed}}


WRONG = [
    ({"mode": "open"}, "auth.mode: should be 'api-key', 'iam', 'cognito'"),
    ({"mode": "none"}, "auth.mode 'none' lets everybody call prod: set auth.i_know_this_is_public"),
    ({"i_know_this_is_public": True}, "i_know_this_is_public belongs to mode 'none', and mode is 'api-key'"),
    ({"mode": "iam", "clients": {"app": {}}}, "clients belongs to mode 'api-key', and mode is 'iam'"),
    ({"iam": {"callers": [CALLER]}}, "iam belongs to mode 'iam'"),
    ({"mode": "jwt"}, "mode 'jwt' needs jwt.issuer and jwt.audience"),
    ({**JWT, "mode": "api-key"}, "jwt belongs to mode 'jwt'"),
    (_jwt(issuer="http://id.example.com"), "auth.jwt.issuer: must be an https address"),
    (_jwt(issuer="https://user:password@id.example.com"), "auth.jwt.issuer: must be an https address"),
    (_jwt(issuer="http://127.0.0.1:80"), "auth.jwt.issuer and jwks_uri must be https"),
    (_jwt(jwks_uri="http://localhost:80/keys"), "auth.jwt.issuer and jwks_uri must be https"),
    (_jwt(audience=[]), "auth.jwt.audience: "),
    (_jwt(algorithms=["HS256"]), "auth.jwt.algorithms.0: should be 'RS256', 'RS384'"),
    (_jwt(algorithms=["none"]), "auth.jwt.algorithms.0: should be 'RS256', 'RS384'"),
    (_jwt(secret="x"), "auth.jwt.secret: there is no such key. Known here: algorithms, audience"),
    ({"cognito": {"user_pool_arn": POOL}}, "cognito belongs to mode 'cognito'"),
    ({"clients": {}}, "auth.clients: "),
    ({"clients": {"App": {}}}, "must be words of small letters and digits, joined by -"),
    ({"clients": {"app": {"rate": 0}}}, "auth.clients.app.rate: should be greater than 0"),
    ({"clients": {"app": {"rate": 101}}}, "auth.clients.app.rate is above api.rate_limit"),
    ({"clients": {"app": {"burst": 201}}}, "auth.clients.app.burst is above api.burst_limit"),
    ({"clients": {"app": {"speed": 1}}}, "Known here: burst, key_version, quota, rate, secret."),
    ({"clients": {"app": {"quota": {"requests": 1, "period": "hour"}}}}, "should be 'day', 'week' or 'month'"),
    ({"clients": {"app": {"quota": {"every": "day"}}}}, "Known here: period, requests."),
    ({"clients": {"app": {"secret": "a key with spaces"}}}, "must be the name or ARN of a secret in Secrets Manager"),
    ({"mode": "iam", "iam": {"callers": ["everybody"]}}, "auth.iam.callers.0: must be the ARN of a user"),
    ({"mode": "cognito", "cognito": {"user_pool_arn": "x"}}, "must be the ARN of a user pool"),
    ({"mode": "cognito", "cognito": {"scopes": ["classify"]}}, "scopes of a pool that is made are identifier/name"),
    ({"mode": "cognito", "cognito": {"scopes": ["a/b", "c/d"]}}, "with the same identifier in all"),
    (
        {"mode": "cognito", "cognito": {"user_pool_arn": POOL, "domain_prefix": "mine"}},
        "domain_prefix is of a pool that is made",
    ),
]


@pytest.mark.parametrize(("settings", "sentence"), WRONG, ids=[sentence[:50] for _, sentence in WRONG])
def test_conflicting_settings_are_rejected_with_a_message(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=r"environments\.prod") as rejection:
        load_settings(context(), "prod", {"auth": settings})
    assert sentence in str(rejection.value)


@pytest.mark.parametrize("environment", ["prod", "staging", "live"])
def test_a_public_endpoint_must_be_confirmed(environment: str) -> None:
    environments = {"environments": {environment: {"auth": {"mode": "none"}}}}
    with pytest.raises(SettingsError, match="i_know_this_is_public"):
        load_settings(environments, environment)
    confirmed = load_settings(environments, environment, {"auth": {"i_know_this_is_public": True}})
    assert confirmed.auth.mode == "none"


def test_two_clients_cannot_have_one_key() -> None:
    clients = {"a": {"secret": "shared"}, "b": {"secret": "shared"}}
    with pytest.raises(SettingsError, match="clients has the secret 'shared' twice"):
        load_settings(context(), "prod", {"auth": {"clients": clients}})


def test_client_names_and_key_versions_do_not_collide() -> None:
    clients = {"app": {"key_version": 12}, "app1": {"key_version": 2}}
    built = synthesize("dev", {"auth": {"clients": clients}})
    assert len(built.resources("AWS::SecretsManager::Secret")) == 2


def test_a_reserved_word_in_the_environment_name_requires_a_domain_prefix() -> None:
    environments = {"environments": {"aws-eu": {"auth": {"mode": "cognito"}}}}
    with pytest.raises(SettingsError, match=r"auth.cognito.domain_prefix is needed: its default has 'aws-eu'"):
        load_settings(environments, "aws-eu")
