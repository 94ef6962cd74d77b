"""The delivery's images: which are built, how they are pushed by digest, and their bill of materials."""

from __future__ import annotations

import copy
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from delivery_fakes import JWT, git, rejected

from infra.components.container_image import BuiltImage
from infra.settings.delivery import RegistrySettings
from tools.delivery import sbom
from tools.delivery.builds import Build, builds, current_commit, read_context
from tools.delivery.engine import Engine
from tools.delivery.errors import DeliveryError
from tools.delivery.outputs import publish
from tools.delivery.registry import push

COMMIT, DIGEST = "c" * 40, f"sha256:{'a' * 64}"

ACCOUNT = "999999999999"

REGISTRY = RegistrySettings(account=ACCOUNT, region="eu-central-1")

HOST = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com"


def a_build(name: str = "function", **arguments: str) -> Build:
    return Build(name, COMMIT, BuiltImage("x86_64", Path("/context"), "function/Dockerfile", arguments))


def delivered() -> dict[str, Any]:
    values = copy.deepcopy(read_context())
    for name in ("dev", "staging", "prod"):
        values["environments"][name] |= {"account": "111111111111", "region": "eu-central-1"}
    github = {"repository": "octo-org/loupe", "repository_id": "456789", "owner_id": "123456"}
    values["delivery"] = {"github": github, "registry": {"account": ACCOUNT, "region": "eu-central-1"}}
    return values


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


class Ecr:
    """A repository in ECR: tags, and the media type of each image."""

    def __init__(
        self, *, account: str = ACCOUNT, media_type: str = "application/vnd.oci.image.manifest.v1+json"
    ) -> None:
        self.tags: dict[str, str] = {}
        self.account, self.media_type = account, media_type
        self.exists = True

    def describe_images(self, *, registryId: str, repositoryName: str, imageIds: list[dict[str, str]]) -> Any:  # noqa: N803
        assert (registryId, repositoryName) == (ACCOUNT, "loupe")
        if not self.exists:
            raise rejected("RepositoryNotFoundException")
        (image,) = imageIds
        if image["imageTag"] not in self.tags:
            raise rejected("ImageNotFoundException")
        return {
            "imageDetails": [{"imageDigest": self.tags[image["imageTag"]], "imageManifestMediaType": self.media_type}]
        }

    def get_authorization_token(self) -> Any:
        host = HOST.replace(ACCOUNT, self.account)
        return {"authorizationData": [{"authorizationToken": "QVdTOng=", "proxyEndpoint": f"https://{host}"}]}


class Pushes:
    """An engine whose pushes reach the repository."""

    def __init__(self, ecr: Ecr) -> None:
        self.ecr, self.pushed = ecr, []

    def push(self, tag: str, remote: str, registry: str, token: str, folder: Path) -> None:
        assert (registry, token) == (HOST, "QVdTOng=")
        assert folder.is_dir()
        self.pushed.append((tag, remote))
        self.ecr.tags[remote.rpartition(":")[2]] = DIGEST


def test_an_image_is_pushed_by_its_commit_and_known_by_its_digest() -> None:
    ecr = Ecr()
    engine = Pushes(ecr)
    assert push(a_build(), REGISTRY, ecr, engine, str) == DIGEST
    assert engine.pushed == [(f"localhost/loupe-function:{COMMIT}", f"{HOST}/loupe:{COMMIT}")]


def test_a_repeated_run_gets_the_image_of_the_first_one() -> None:
    """Tags are immutable: a second push would fail, or another image would be tested than the one that is deployed."""
    ecr = Ecr()
    ecr.tags[COMMIT] = "sha256:" + "b" * 64
    engine = Pushes(ecr)
    assert push(a_build(), REGISTRY, ecr, engine, str) == ecr.tags[COMMIT]
    assert engine.pushed == []


def test_the_authorizers_image_has_its_own_tag() -> None:
    assert a_build("authorizer").remote_tag == f"authorizer-{COMMIT}"


@pytest.mark.parametrize(
    ("ecr", "sentence"),
    [
        (Ecr(media_type="application/vnd.oci.image.index.v1+json"), "index of several images"),
        (Ecr(account="111111111111"), "another account"),
    ],
)
def test_what_lambda_or_the_registry_would_reject_ends_the_push(ecr: Ecr, sentence: str) -> None:
    with pytest.raises(DeliveryError, match=sentence):
        push(a_build(), REGISTRY, ecr, Pushes(ecr), str)


def test_a_missing_repository_is_named_with_the_command_that_makes_it() -> None:
    ecr = Ecr()
    ecr.exists = False
    with pytest.raises(DeliveryError, match="make delivery-deploy"):
        push(a_build(), REGISTRY, ecr, Pushes(ecr), str)


def test_an_image_is_built_for_one_platform_without_attestations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    program(tmp_path, "engine", f'echo "$BUILDX_NO_DEFAULT_ATTESTATIONS" "$@" > {record}')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CDK_DOCKER", "engine")
    Engine.of_environment().build(a_build(MODEL="hair-type").image, "tag")
    words = record.read_text().split()
    assert words[:2] == ["1", "build"]
    assert {"--platform=linux/amd64", "--build-arg=MODEL=hair-type", "--tag=tag"} <= set(words)
    assert words[-1] == "/context"


def test_credentials_are_in_a_file_of_this_user_and_not_on_the_command_line(tmp_path: Path) -> None:
    record, folder = tmp_path / "record", tmp_path / "credentials"
    folder.mkdir()
    engine = Engine(str(program(tmp_path, "engine", f'echo "$DOCKER_CONFIG" "$REGISTRY_AUTH_FILE" "$@" >> {record}')))
    engine.push("tag", "host/loupe:x", "host", "c2VjcmV0", folder)
    lines = record.read_text().splitlines()
    assert lines[-1] == f"{folder} {folder}/config.json push host/loupe:x"
    assert "c2VjcmV0" not in record.read_text()
    assert json.loads((folder / "config.json").read_text()) == {"auths": {"host": {"auth": "c2VjcmV0"}}}
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600


def test_a_failing_engine_ends_the_step(tmp_path: Path) -> None:
    engine = Engine(str(program(tmp_path, "engine", "exit 3")))
    with pytest.raises(DeliveryError, match="ended with 3"):
        engine.build(a_build().image, "tag")
    with pytest.raises(DeliveryError, match="ended with 3"):
        engine.read("tag", "rpm", "-qa")


def test_without_an_engine_the_step_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_DOCKER", "no-such-engine")
    with pytest.raises(DeliveryError, match="CDK_DOCKER"):
        Engine.of_environment()


def test_the_build_is_that_of_the_settings() -> None:
    (build,) = builds(read_context(), "dev", COMMIT)
    assert build.image.dockerfile == "function/Dockerfile"
    assert build.image.build_args["MODEL"] == "hair-type"
    assert (build.image.context / "function" / "Dockerfile").is_file()


def test_one_image_has_the_models_of_every_environment() -> None:
    values = delivered()
    values["environments"]["prod"]["shadow"] = {"challenger": "hair-type-large", "reserved_concurrency": 5}
    (build,) = builds(values, "dev", COMMIT)
    assert build.image.build_args["MODELS"] == "hair-type hair-type-large"


def test_an_environment_with_tokens_adds_the_authorizers_image() -> None:
    values = delivered()
    values["environments"]["dev"]["auth"] = JWT
    assert [build.name for build in builds(values, "dev", COMMIT)] == ["function", "authorizer"]


def test_only_a_commit_is_built(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("1")
    with pytest.raises(DeliveryError, match="rev-parse"):
        current_commit(tmp_path)
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "-m", "a")
    assert current_commit(tmp_path) == git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "a").write_text("2")
    with pytest.raises(DeliveryError, match="commit them first"):
        current_commit(tmp_path)


class Packages:
    """An image with the listed packages and, of the two package managers, the named one."""

    def __init__(self, manager: str) -> None:
        self.manager = manager

    def read(self, tag: str, *command: str) -> str:
        assert tag == f"localhost/loupe-function:{COMMIT}"
        if command[0] == "python":
            return json.dumps([["Pillow", "13.0.0", "MIT-CMU"], ["python_multipart", "0.0.20", ""]])
        if command[0] != self.manager:
            raise DeliveryError(f"{command[0]}: not found")
        return "glibc\t2.34-231.amzn2023\tx86_64\nlibstdc++\t11.5.0-5.amzn2023\tx86_64\n"


@pytest.mark.parametrize(("manager", "kind"), [("rpm", "rpm/amzn"), ("dpkg-query", "deb/debian")])
def test_the_bill_of_materials_is_valid_and_names_each_package(manager: str, kind: str) -> None:
    packages = sbom.components(a_build(), Packages(manager))
    assert [package.url for package in packages] == [
        "pkg:pypi/pillow@13.0.0",
        f"pkg:{kind}/glibc@2.34-231.amzn2023?arch=x86_64",
        f"pkg:{kind}/libstdc%2B%2B@11.5.0-5.amzn2023?arch=x86_64",
        "pkg:pypi/python-multipart@0.0.20",
    ]
    document = json.dumps(sbom.document(a_build(), packages, f"public.ecr.aws/lambda/python@{DIGEST}"))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    assert DIGEST in document


def test_an_image_without_a_known_package_manager_has_no_bill_of_materials() -> None:
    with pytest.raises(DeliveryError, match="cannot be listed"):
        sbom.components(a_build(), Packages("apk"))


def test_an_empty_package_database_is_no_bill_of_materials() -> None:
    class Empty(Packages):
        def read(self, tag: str, *command: str) -> str:
            return super().read(tag, *command) if command[0] == "python" else "\n"

    with pytest.raises(DeliveryError, match="lists no package"):
        sbom.components(a_build(), Empty("rpm"))


def test_outputs_are_single_words_of_the_steps_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    publish({"digest": DIGEST, "authorizer-digest": ""})
    assert (tmp_path / "outputs").read_text() == f"digest={DIGEST}\nauthorizer-digest=\n"
    with pytest.raises(ValueError, match="not one word"):
        publish({"digest": "a\nrole=admin"})
