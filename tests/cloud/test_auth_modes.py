"""The authentication modes, deployed one after the other to a local cloud of their own, and called."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import rsa
from deployment import Deployed, Response, deployed_stack, own_cloud, send
from expect import assert_problem

AUDIENCE = "https://pictures.example"
Deploy = Callable[[dict[str, Any]], Deployed]


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """Deploy these authentication settings to the same cloud, as a change of settings."""
    with own_cloud(tmp_path_factory.mktemp("modes")) as state:

        def deploy_mode(auth: dict[str, Any]) -> Deployed:
            settings = {"auth": auth, "inputs": {"uploads": {"enabled": False}}, "alarms": {"enabled": False}}
            deployed = deployed_stack(state, settings)
            assert send(urllib.request.Request(f"{deployed.endpoint['url']}v1/health")).status == 200
            return deployed

        yield deploy_mode


def models(deployed: Deployed, **headers: str) -> Response:
    return deployed.call("/v1/models", key=False, headers=headers)


def test_every_client_has_its_own_key_rate_and_quota(deploy: Deploy) -> None:
    deployed = deploy(
        {
            "clients": {
                "slow": {"rate": 0.001, "burst": 3},
                "counted": {"rate": 50, "burst": 50, "quota": {"requests": 5, "period": "month"}},
                "free": {"rate": 50, "burst": 50},
            }
        }
    )
    gateway, secrets = deployed.client("apigateway"), deployed.client("secretsmanager")
    ids = {"slow": "ApiKeyId", "counted": "ApiKeyIdCounted", "free": "ApiKeyIdFree"}
    keys = {
        client: gateway.get_api_key(apiKey=deployed.outputs[output], includeValue=True)["value"]
        for client, output in ids.items()
    }
    stored = {
        secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"]
        for secret in secrets.list_secrets()["SecretList"]
    }
    assert set(keys.values()) == stored
    assert all(len(key) == 40 and key.isalnum() for key in stored)
    template = (deployed.state.assembly / "Loupe-local.template.json").read_text()
    assert not [key for key in stored if key in template]

    answers = {client: [models(deployed, **{"x-api-key": key}) for _ in range(8)] for client, key in keys.items()}
    assert [response.status for response in answers["slow"]] == [200] * 3 + [429] * 5
    assert_problem(answers["slow"][-1], 429, "too_many_requests")
    assert [response.status for response in answers["counted"]] == [200] * 5 + [429] * 3
    assert_problem(answers["counted"][-1], 429, "quota_exceeded")
    assert [response.status for response in answers["free"]] == [200] * 8
    assert_problem(models(deployed, **{"x-api-key": "x" * 40}), 403, "api_key_invalid")


def test_cognito_tokens_need_the_scope(deploy: Deploy) -> None:
    deployed = deploy({"mode": "cognito", "cognito": {"scopes": ["loupe/classify", "loupe/admin"]}})
    pool, client = deployed.outputs["UserPoolId"], deployed.outputs["UserPoolClientId"]
    cognito = deployed.client("cognito-idp")
    described = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=client)["UserPoolClient"]
    basic = base64.b64encode(f"{client}:{described['ClientSecret']}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": "loupe/classify"}
    request = urllib.request.Request(
        f"{deployed.account.endpoint}/oauth2/token",
        urllib.parse.urlencode(form).encode(),
        {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
    )
    token = send(request).json["access_token"]
    assert models(deployed, Authorization=f"Bearer {token}").status == 200
    assert_problem(models(deployed), 401, "unauthorized")
    assert_problem(models(deployed, Authorization="Bearer a.b.c"), 401, "unauthorized")
    head, body, signature = token.split(".")
    assert_problem(models(deployed, Authorization=f"Bearer {head}.{body}.{signature[::-1]}"), 401, "unauthorized")
    assert deployed.endpoint["api_key"] is None


def signed(deployed: Deployed, key_id: str, secret: str, token: str | None = None) -> Response:
    """A call with an AWS signature."""
    url = f"{deployed.endpoint['url']}v1/models"
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(key_id, secret, token), "execute-api", deployed.account.region).add_auth(request)
    return send(urllib.request.Request(url, headers=dict(request.headers)))


def test_iam_signatures_need_a_policy_that_allows_the_call(deploy: Deploy) -> None:
    deployed = deploy({"mode": "iam"})
    iam = deployed.client("iam")
    keys = {}
    for name in ("let-in", "stranger"):
        iam.create_user(UserName=name)
        keys[name] = iam.create_access_key(UserName=name)["AccessKey"]
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="let-in", PolicyName="invoke", PolicyDocument=policy)
    good = keys["let-in"]
    assert signed(deployed, good["AccessKeyId"], good["SecretAccessKey"]).status == 200
    assert signed(deployed, good["AccessKeyId"], "not its secret").status == 403
    assert signed(deployed, keys["stranger"]["AccessKeyId"], keys["stranger"]["SecretAccessKey"]).status == 403
    # API Gateway says the same of a request without a signature as of one that no route is for.
    assert_problem(models(deployed), 404, "not_found")


def test_jwt_tokens_need_the_scope(deploy: Deploy, issuer: tuple[str, rsa.RSAPrivateKey]) -> None:
    url, key = issuer
    deployed = deploy({"mode": "jwt", "jwt": {"issuer": url, "audience": [AUDIENCE], "scopes": ["classify"]}})

    def call(**changed: Any) -> Response:
        now = int(time.time())
        claims = {"iss": url, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "scope": "classify", **changed}
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})
        return models(deployed, Authorization=f"Bearer {token}")

    assert call().status == 200
    assert_problem(call(exp=int(time.time()) - 3600), 401, "unauthorized")
    assert_problem(call(aud="https://other.example"), 401, "unauthorized")
    assert_problem(call(scope="read"), 403, "forbidden")
    assert_problem(models(deployed), 401, "unauthorized")
    assert_problem(models(deployed, Authorization="Bearer nonsense"), 401, "unauthorized")
