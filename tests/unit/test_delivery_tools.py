"""The delivery's steps: which images are built, push by digest, bill of materials, gate, smoke test of a stack."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from infra.components.container_image import BuiltImage
from infra.settings import load_settings
from infra.settings.delivery import RegistrySettings
from tools.delivery import gate as gates
from tools.delivery import sbom, smoke, stack
from tools.delivery.builds import Build, builds, current_commit, read_context
from tools.delivery.engine import Engine
from tools.delivery.errors import DeliveryError
from tools.delivery.outputs import publish
from tools.delivery.registry import push
from tools.smoke.credentials import ApiKey
from tools.smoke.endpoint import Endpoint

COMMIT, DIGEST = "c" * 40, f"sha256:{'a' * 64}"
ACCOUNT = "999999999999"
REGISTRY = RegistrySettings(account=ACCOUNT, region="eu-central-1")
HOST = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com"
JWT = {"mode": "jwt", "jwt": {"issuer": "https://id.example.com/", "audience": ["https://images.example"]}}


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


def rejected(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Call")


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


def test_the_authorizers_image_has_a_tag_of_its_own() -> None:
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


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


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


class Project:
    """A repository with one model, its commits, and what modelkit was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, []
        self.code = 0
        self.card = folder / "models" / "m" / "card.json"
        self.card.parent.mkdir(parents=True)
        git(folder, "init", "--quiet")

    def commit(self, **card: Any) -> str:
        self.card.write_text(json.dumps({"name": "m", "version": "1.0.0", "files": [], **card}))
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "--allow-empty", "-m", "m")
        return git(self.folder, "rev-parse", "HEAD")

    def modelkit(self, arguments: list[str]) -> int:
        self.calls.append(list(arguments))
        if arguments[0] == "gate":
            models = Path(arguments[arguments.index("--models-dir") + 1])
            # Both models are there under the names of their folders.
            for name in ("m", "m-delivered"):
                assert json.loads((models / name / "card.json").read_text())["name"] == name
            return self.code
        return 0

    def gate(self, base: str | None) -> list[str]:
        reports: list[str] = []
        gates.gate(["m"], base, reports.append, project=self.folder, run=self.modelkit)
        return reports


def test_an_unchanged_model_is_verified_and_not_compared(tmp_path: Path) -> None:
    project = Project(tmp_path)
    base = project.commit()
    assert "the same as" in project.gate(base)[0]
    project.commit(description="other words")
    assert "the same as" in project.gate(base)[0]
    assert project.calls == [["verify", "m"]] * 2


def test_another_encoding_must_agree_and_another_version_must_be_as_accurate(tmp_path: Path) -> None:
    project = Project(tmp_path)
    base = project.commit()
    project.commit(files=[{"sha256": "other"}])
    project.gate(base)
    assert "--successor" not in project.calls[-1]
    project.commit(files=[{"sha256": "other"}], version="1.1.0")
    project.gate(base)
    assert project.calls[-1][:4] == ["gate", "m", "--against", "m-delivered"]
    assert "--successor" in project.calls[-1]


def test_a_worse_model_ends_the_delivery(tmp_path: Path) -> None:
    project = Project(tmp_path)
    base = project.commit()
    project.commit(files=[{"sha256": "other"}])
    project.code = 1
    with pytest.raises(DeliveryError, match="not as good"):
        project.gate(base)


def test_a_model_that_is_not_what_its_card_states_ends_the_delivery(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.commit()
    with pytest.raises(DeliveryError, match="nothing is built"):
        gates.gate(["m"], None, str, project=tmp_path, run=lambda _: 1)


def test_a_first_delivery_and_a_new_model_have_nothing_to_compare(tmp_path: Path) -> None:
    project = Project(tmp_path)
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    base = git(tmp_path, "rev-parse", "HEAD")
    project.commit()
    assert "not compared" in project.gate(None)[0]
    assert "nothing to compare" in project.gate(base)[0]


def test_an_unknown_commit_is_an_error_and_no_first_delivery(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.commit()
    with pytest.raises(DeliveryError, match="not in this clone"):
        project.gate("d" * 40)


@pytest.mark.parametrize(("version", "passes"), [(None, True), ("9.0.0", True), ("9.0.1", False)])
def test_the_real_gate_accepts_an_equal_model_and_rejects_swapped_labels(
    tmp_path: Path, version: str | None, passes: bool
) -> None:
    """modelkit itself, for another encoding and a retrained model: the arguments of the gate are ones that it takes."""
    source = Path(__file__).parents[2] / "models"
    models = tmp_path / "models"
    shutil.copytree(source / "hair-type", models / "hair-type", ignore=shutil.ignore_patterns("*.py", "*.npz"))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-f", ".")
    git(tmp_path, "commit", "--quiet", "-m", "model")
    base = git(tmp_path, "rev-parse", "HEAD")
    card = json.loads((models / "hair-type" / "card.json").read_bytes())
    card["version"] = version or card["version"]
    card["output"]["temperature"] *= 1.001
    if not passes:
        card["output"]["labels"].reverse()
    (models / "hair-type" / "card.json").write_text(json.dumps(card))
    calls: list[list[str]] = []

    def run(arguments: Any) -> int:
        calls.append(list(arguments))
        return gates.modelkit(arguments) if arguments[0] == "gate" else 0

    expectation = contextlib.nullcontext() if passes else pytest.raises(DeliveryError, match="not as good")
    with expectation:
        gates.gate(["hair-type"], base, str, project=tmp_path, run=run)
    assert [call[0] for call in calls] == ["verify", "gate"]
    assert ("--successor" in calls[-1]) is (version is not None)


class Session:
    """An account with one stack."""

    region_name = "eu-central-1"

    def __init__(self, **outputs: str) -> None:
        self.outputs = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]

    def client(self, service: str) -> Any:
        assert service in ("cloudformation", "apigateway")
        return self

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        if not self.outputs:
            raise rejected("ValidationError", f"Stack with id {StackName} does not exist")
        return {"Stacks": [{"Outputs": self.outputs}]}

    def get_api_key(self, *, apiKey: str, includeValue: bool) -> Any:  # noqa: N803
        assert includeValue
        return {"value": f"value of {apiKey}"}


def smoke_command(session: Session, auth: dict[str, Any] | None = None, **variables: str) -> Any:
    settings = load_settings(read_context(), "dev", {"auth": auth} if auth else None)
    return smoke.command(settings, session, ["--latency-requests", "5"], variables)  # type: ignore[arg-type]


def test_the_smoke_test_takes_address_and_key_from_the_stack_and_the_key_is_in_no_argument() -> None:
    arguments, variables = smoke_command(Session(Url="https://x/live/", ApiKeyId="k1"))
    assert arguments[arguments.index("--url") + 1] == "https://x/live/"
    assert arguments[-2:] == ["--latency-requests", "5"]
    assert variables == {"LOUPE_API_KEY": "value of k1"}
    assert not [argument for argument in arguments if "value of" in argument]


def test_other_modes_sign_or_need_a_token() -> None:
    session = Session(Url="https://x/live/")
    arguments, _ = smoke_command(session, {"mode": "iam"})
    assert arguments[-4:] == ["--auth", "iam", "--region", "eu-central-1"]
    with pytest.raises(DeliveryError, match="LOUPE_TOKEN"):
        smoke_command(session, JWT)
    assert smoke_command(session, JWT, LOUPE_TOKEN="t")[1] == {}


def test_an_environment_that_is_not_deployed_is_named() -> None:
    with pytest.raises(DeliveryError, match="Loupe-dev is not deployed"):
        smoke_command(Session())
    with pytest.raises(DeliveryError, match="ApiKeyId"):
        smoke_command(Session(Url="https://x/live/"))


def test_an_error_of_cloudformation_is_not_a_missing_stack() -> None:
    class Denied(Session):
        def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
            raise rejected("AccessDenied", f"not authorized for {StackName}")

    with pytest.raises(DeliveryError, match="AccessDenied"):
        stack.outputs(Denied(), "Loupe-dev")


def test_the_lookup_role_is_that_of_the_bootstrap() -> None:
    role = stack.lookup_role("111111111111", "eu-central-1")
    assert role == "arn:aws:iam::111111111111:role/cdk-hnb659fds-lookup-role-111111111111-eu-central-1"


@pytest.mark.parametrize(("ready_after", "settled"), [(1, True), (3, True), (1000, False)])
def test_the_smoke_test_waits_for_health_and_for_the_key_to_be_known(ready_after: int, settled: bool) -> None:
    """The first start of an image and a new key take a while; both would fail checks that nothing is wrong with."""
    requests: list[str] = []
    now = [0.0]

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.path)
        count = requests.count(request.url.path)
        if count < ready_after:
            if request.url.path.endswith("health") and count == 1:
                raise httpx.ConnectError("not yet")
            return httpx.Response(403)
        return httpx.Response(200)

    endpoint = Endpoint("https://x/live/", ApiKey("k"), transport=httpx.MockTransport(answer))

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert smoke.wait(endpoint, sleep=sleep, clock=lambda: now[0]) is settled
    assert not settled or requests[-1] == "/live/v1/models"
    assert now[0] <= smoke.SETTLE_SECONDS + 5
