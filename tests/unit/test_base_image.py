"""The base image's digest: asked of a registry, kept in a lock file, passed to every build."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra import base_image
from infra.base_image import BaseImage, build_args, default_image, read_lock, require, write_lock
from infra.registry import RegistryError, platform_digests
from infra.settings import SettingsError, load_settings

AMD64, ARM64 = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
INDEX = {
    "schemaVersion": 2,
    "manifests": [
        {"digest": AMD64, "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": ARM64, "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": f"sha256:{'c' * 64}", "platform": {"os": "unknown", "architecture": "unknown"}},
    ],
}
TOKEN = "token-of-the-registry"


class Registry(ThreadingHTTPServer):
    """A registry with one image, which wants a bearer token as public.ecr.aws does."""

    index: Any = INDEX
    digest: str | None = None
    realm: str | None = None
    tokens: int = 0


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        host = f"http://127.0.0.1:{self.server.server_port}"
        if self.path.startswith("/token?"):
            self.server.tokens += 1
            assert "service=registry.test" in self.path
            assert "scope=repository%3Alambda%2Fpython%3Apull" in self.path
            self.answer(200, json.dumps({"token": TOKEN}).encode())
        elif self.path != "/v2/lambda/python/manifests/3.13":
            self.answer(404, b"{}")
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            scope = 'service="registry.test",scope="repository:lambda/python:pull"'
            realm = self.server.realm or f"{host}/token"
            self.answer(401, b"{}", {"WWW-Authenticate": f'Bearer realm="{realm}",{scope}'})
        else:
            assert "application/vnd.oci.image.index.v1+json" in self.headers["Accept"]
            body = json.dumps(self.server.index).encode()
            digest = self.server.digest or f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.answer(200, body, {"Docker-Content-Digest": digest})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def image(registry: Registry, tag: str = "3.13") -> str:
    return f"127.0.0.1:{registry.server_port}/lambda/python:{tag}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_digest_of_each_platform_is_locked(registry: Registry, tmp_path: Path) -> None:
    lock = tmp_path / "base-image.lock"
    write_lock(image(registry), lock)
    document = json.loads(lock.read_text())
    assert document["image"] == image(registry)
    assert document["digests"] == {"linux/amd64": AMD64, "linux/arm64": ARM64}
    assert registry.tokens == 1
    assert read_lock(lock) == BaseImage(image(registry), document["digests"])
    repository = image(registry).removesuffix(":3.13")
    assert build_args(None, "x86_64", lock) == {"BASE": f"{repository}@{AMD64}"}
    assert build_args(None, "arm64", lock) == {"BASE": f"{repository}@{ARM64}"}


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_an_image_that_is_not_there_is_an_error_that_leaves_the_lock(registry: Registry, tmp_path: Path) -> None:
    lock = tmp_path / "base-image.lock"
    lock.write_text("as it was")
    with pytest.raises(RegistryError, match="404"):
        write_lock(image(registry, "3.99"), lock)
    registry.index = {"manifests": [INDEX["manifests"][0]]}  # type: ignore[index]
    with pytest.raises(RegistryError, match="linux/arm64"):
        write_lock(image(registry), lock)
    assert lock.read_text() == "as it was"


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_content_that_is_not_the_stated_digest_is_rejected(registry: Registry) -> None:
    registry.digest = AMD64
    with pytest.raises(RegistryError, match=AMD64):
        platform_digests(image(registry))


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    "index", [{"schemaVersion": 2, "config": {}}, [], {"manifests": [{"platform": {"os": "linux"}}]}]
)
def test_an_image_for_one_platform_is_rejected(registry: Registry, index: Any) -> None:
    registry.index = index
    with pytest.raises(RegistryError, match="several platforms"):
        platform_digests(image(registry))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_digest_of_another_kind_is_rejected(registry: Registry, tmp_path: Path) -> None:
    registry.index = json.loads(json.dumps(INDEX).replace(AMD64, "md5:abc"))
    with pytest.raises(RegistryError, match="SHA-256"):
        write_lock(image(registry), tmp_path / "lock")


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_tokens_come_from_an_address_of_the_same_scheme(registry: Registry) -> None:
    registry.realm = "file:///etc/passwd"
    with pytest.raises(RegistryError, match="file:///etc/passwd"):
        platform_digests(image(registry))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_registry_that_does_not_respond_is_an_error() -> None:
    with pytest.raises(RegistryError, match="cannot be reached"):
        platform_digests("127.0.0.1:9/lambda/python:3.13")


def test_the_image_to_lock_is_that_of_both_dockerfiles() -> None:
    assert default_image() == "public.ecr.aws/lambda/python:3.13"
    assert default_image(base_image.PROJECT_ROOT / "authorizer" / "Dockerfile") == default_image()


def test_without_a_lock_builds_take_the_dockerfiles_own_base(tmp_path: Path) -> None:
    assert build_args(None, "x86_64", tmp_path / "none") == {}


def test_a_base_of_the_settings_comes_before_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(json.dumps({"image": "r/p:1", "digests": {"linux/amd64": AMD64}}))
    assert build_args("mine:v1", "x86_64", lock) == {"BASE": "mine:v1"}
    with pytest.raises(SettingsError, match="linux/arm64"):
        build_args(None, "arm64", lock)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"image": "r/p:1", "digests": {}}', '{"image": "r/p:1", "digests": {"linux/amd64": "latest"}}',
     '{"image": "r/p:1", "digests": {"linux/amd64": 5}}'],
)  # fmt: skip
def test_a_lock_that_is_damaged_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    with pytest.raises(SettingsError, match="make lock-base"):
        read_lock(tmp_path / "lock")


def settings(**image: Any) -> Any:
    return load_settings({"environments": {"dev": {"image": {"require_locked_base": True, **image}}}}, "dev", None)


def test_a_required_digest_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make lock-base"):
        require(settings(), tmp_path / "none")
    with pytest.raises(SettingsError, match="mine:v1"):
        require(settings(base="mine:v1"), tmp_path / "none")


def test_a_required_digest_that_is_there_is_none(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(json.dumps({"image": "r/p:1", "digests": {"linux/amd64": AMD64}}))
    require(settings(), lock)
    require(settings(base=f"mine@{AMD64}"), tmp_path / "none")
    require(settings(source="ecr", repository="loupe", digest=AMD64), tmp_path / "none")
