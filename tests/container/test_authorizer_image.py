"""The JWT authorizer's own image: built unmodified, run as Lambda runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.state import PROJECT
from tests.container import engine
from tests.container.base import Base

IMAGE = "localhost/loupe-test:authorizer"
VARIABLES = {"LOUPE_JWT_ISSUER": "https://id.example", "LOUPE_JWT_AUDIENCE": "images"}
# A key made there and a token signed by it: the library and the native code under it are whole.
CHECK = """
import json, os, time
import authorize, issuer, jwt
from cryptography.hazmat.primitives.asymmetric import ec

key = ec.generate_private_key(ec.SECP256R1())
authorize.ISSUER._keys = {"one": issuer.Key("one", key.public_key(), None)}
authorize.ISSUER._fetched = float("inf")
claims = {"iss": "https://id.example", "aud": "images", "sub": "alice", "exp": time.time() + 60}
token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "one"})
event = {"authorizationToken": "Bearer " + token, "methodArn": "arn:aws:execute-api:r:1:api/live/GET/v1/models"}
answer = authorize.handler(event, None)
compiled = sorted(name.partition(".")[0] for name in os.listdir("__pycache__"))
print(json.dumps([answer["policyDocument"]["Statement"][0]["Effect"], compiled]))
"""


@pytest.fixture(scope="module")
def authorizer(container_engine: engine.Engine, base_image: Base, mounts: dict[Path, str]) -> Iterator[str]:
    container_engine.build(
        PROJECT / "authorizer", IMAGE, file="Dockerfile", arguments={"BASE": base_image.image}, mounts=mounts
    )
    yield IMAGE
    container_engine.remove(IMAGE)


def test_the_authorizer_checks_a_token_read_only_and_without_network(runner: engine.Engine, authorizer: str) -> None:
    variables = tuple(f"--env={name}={value}" for name, value in VARIABLES.items())
    printed = runner.run(authorizer, "python3", "-c", CHECK, sandbox=(*engine.SANDBOX, *variables))
    effect, compiled = json.loads(printed)
    assert effect == "Allow"
    assert {"authorize", "issuer"} <= set(compiled)
