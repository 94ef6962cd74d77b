"""`make doctor`: every failure of AWS and of the container engine is a finding with a sentence and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from doctor_fakes import ACCOUNT, DIGEST, DOCKER, HEALTHY, REGION, ROLE, TOPIC, Answer, StubbedAws, engine, environment
from operations_fakes import CODEDEPLOY, ScriptedAws, stack
from typer.testing import CliRunner

from infra.pins import Pin, write_pin
from infra.settings import Settings
from tools.doctor import __main__ as command
from tools.doctor import alias as alias_check
from tools.doctor.checks import CHECKS, Surroundings, examine
from tools.doctor.findings import Finding, Level, allowing
from tools.doctor.notices import PLACEHOLDER_TAGS, is_production

ROOT = Path(__file__).resolve().parents[2]
URL = "https://example.com"


def findings(
    settings: Settings | None = None, *, runner: Any = None, config: bytes | Exception = b"{}", **answers: Any
) -> list[Finding]:
    """The findings of a healthy account, with these answers in place of its own (``sts__get_caller_identity=...``)."""
    responses: dict[str, Answer | Exception] = {
        **HEALTHY,
        **{name.replace("__", "."): value for name, value in answers.items()},
    }

    def download(url: str) -> bytes:
        if isinstance(config, Exception):
            raise config
        return config

    around = Surroundings(StubbedAws(responses), runner=runner or engine(), download=download)
    return examine(settings or environment(), around)


def one(report: list[Finding], check: str, level: Level | None = None) -> Finding:
    (finding,) = [item for item in report if item.check == check and level in (None, item.level)]
    return finding


def test_a_healthy_account_can_be_deployed_to() -> None:
    report = findings()
    assert {item.level for item in report} == {Level.ok}
    assert {item.check for item in report} == set(CHECKS) - {"environment"}


CREDENTIALS = [
    (exceptions.NoCredentialsError(), "There are no usable AWS credentials: Unable to locate credentials."),
    (exceptions.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"), "Partial credentials"),
    (exceptions.CredentialRetrievalError(provider="sso", error_msg="timed out"), "retrieving credentials from sso"),
    (exceptions.UnauthorizedSSOTokenError(), "The SSO session associated with this profile has expired"),
    (("ExpiredToken", "The security token included in the request is expired", 403), "have expired (ExpiredToken)"),
    (("ExpiredTokenException", "The security token is expired", 403), "have expired"),
    (("InvalidClientTokenId", "The security token included in the request is invalid", 403), "does not accept"),
    (("SignatureDoesNotMatch", "Signature expired", 403), "does not accept the credentials (SignatureDoesNotMatch)"),
]


@pytest.mark.parametrize(("answer", "sentence"), CREDENTIALS)
def test_invalid_credentials_are_one_error_and_end_the_checks(answer: Any, sentence: str) -> None:
    aws = StubbedAws({**HEALTHY, "sts.get_caller_identity": answer})
    report = examine(environment(), Surroundings(aws, runner=engine()))
    finding = one(report, "account")
    assert (finding.level, aws.calls) == (Level.error, ["sts.get_caller_identity"])
    assert sentence in finding.summary
    assert "AWS_PROFILE" in finding.action
    # What is known without AWS is reported all the same.
    assert {"docker", "tags", "alarms"} <= {item.check for item in report}


@pytest.mark.parametrize(
    "failure",
    [
        exceptions.EndpointConnectionError(endpoint_url=URL),
        exceptions.ConnectTimeoutError(endpoint_url=URL),
        exceptions.ReadTimeoutError(endpoint_url=URL),
        exceptions.ProxyConnectionError(proxy_url=URL),
        exceptions.SSLError(endpoint_url=URL, error="self-signed certificate"),
        exceptions.ConnectionClosedError(endpoint_url=URL),
    ],
)
@pytest.mark.parametrize("operation", ["sts.get_caller_identity", "ssm.get_parameter", "lambda.get_account_settings"])
def test_an_endpoint_that_cannot_be_reached_is_an_error_that_names_the_network(operation: str, failure: Any) -> None:
    report = findings(**{operation.replace(".", "__"): failure})
    (finding,) = [item for item in report if item.level is Level.error]
    assert "cannot be reached" in finding.summary
    assert "HTTPS_PROXY" in finding.action


CALLS = [name for name in HEALTHY if not name.startswith("sts")]


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_a_missing_permission_is_a_warning_that_names_it(operation: str, code: str) -> None:
    report = findings(**{operation.replace(".", "__"): (code, "User is not authorized to perform", 403)})
    (finding,) = [item for item in report if item.level is not Level.ok]
    assert finding.level is Level.warning
    service, _, name = operation.partition(".")
    assert f"{service}:{''.join(word.capitalize() for word in name.split('_'))}" in finding.summary


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("code", ["Throttling", "ThrottlingException", "TooManyRequestsException"])
def test_throttling_is_a_warning_that_suggests_a_retry(operation: str, code: str) -> None:
    report = findings(**{operation.replace(".", "__"): (code, "Rate exceeded", 429)})
    (finding,) = [item for item in report if item.level is not Level.ok]
    assert (finding.level, finding.action) == (Level.warning, "Run it again in a minute.")


def test_an_unexpected_error_is_reported_with_its_code() -> None:
    report = findings(apigateway__get_account=("InternalFailure", "Something broke.", 500))
    assert one(report, "log-role").summary == "apigateway:GetAccount failed: Something broke (InternalFailure)."


def test_credentials_of_another_account_are_an_error() -> None:
    other = {"Account": "999900001111", "Arn": "arn:aws:iam::999900001111:user/me"}
    finding = one(findings(sts__get_caller_identity=other), "account")
    assert finding.level is Level.error
    assert "999900001111" in finding.summary
    assert ACCOUNT in finding.summary


def test_the_root_user_is_a_warning() -> None:
    root = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}
    assert "root user" in one(findings(sts__get_caller_identity=root), "account", Level.warning).summary


def test_no_region_is_an_error() -> None:
    report = examine(environment(region=None), Surroundings(None, runner=engine()))
    assert "name a region" in one(report, "account", Level.error).summary


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (("ParameterNotFound", "", 400), f"Account {ACCOUNT} is not bootstrapped in {REGION}"),
        ({"Parameter": {"Value": "5"}}, "has version 5, and 6 is needed"),
        ({"Parameter": {"Value": "none"}}, "has version none, and 6 is needed"),
    ],
)
def test_a_missing_or_old_bootstrap_stack_is_an_error_with_the_command(answer: Any, sentence: str) -> None:
    finding = one(findings(ssm__get_parameter=answer), "bootstrap")
    assert (finding.level, sentence in finding.summary) == (Level.error, True)
    assert finding.action == f"node_modules/.bin/cdk bootstrap aws://{ACCOUNT}/{REGION}"


def _limits(quota: int, unreserved: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": unreserved}}


@pytest.mark.parametrize(
    ("quota", "unreserved", "own", "reserve", "fits"),
    [
        (1000, 1000, None, 900, True),
        (1000, 1000, None, 901, False),  # 100 stay unreserved
        (1000, 400, None, 300, True),
        (1000, 400, None, 301, False),
        (1000, 350, 50, 300, True),  # its own 50 are given back first
        (1000, 350, 50, 301, False),
        (10, 10, None, 1, False),  # a new account
    ],
)
def test_a_reserve_must_fit_beside_those_of_other_functions(
    quota: int, unreserved: int, own: int | None, reserve: int, fits: bool
) -> None:
    report = findings(
        environment(function={"reserved_concurrency": reserve}),
        lambda__get_account_settings=_limits(quota, unreserved),
        **({} if own is None else {"lambda__get_function_concurrency": {"ReservedConcurrentExecutions": own}}),
    )
    finding = one(report, "concurrency")
    assert finding.level is (Level.ok if fits else Level.error)
    if not fits:
        value = quota - unreserved - (own or 0) + reserve + 100
        assert f"--quota-code L-B99A9384 --desired-value {value} " in finding.action


def test_the_authorizer_reserves_as_much_again() -> None:
    jwt = {"issuer": "https://id.example.com/", "audience": ["loupe"]}
    settings = environment(auth={"mode": "jwt", "jwt": jwt}, function={"reserved_concurrency": 451})
    finding = one(findings(settings), "concurrency")
    assert finding.level is Level.error
    assert "451 for each of 2 functions" in finding.summary
    assert "to 450," in finding.action


def test_without_a_reserve_a_small_quota_is_a_warning_and_provisioned_concurrency_must_fit() -> None:
    small = _limits(10, 10)
    none = environment("dev", function={"reserved_concurrency": None})
    assert one(findings(none, lambda__get_account_settings=small), "concurrency").level is Level.warning
    assert one(findings(none), "concurrency").level is Level.ok
    settings = environment("dev", function={"reserved_concurrency": None}, scaling={"provisioned": {"max": 20}})
    finding = one(findings(settings, lambda__get_account_settings=_limits(110, 110)), "concurrency")
    assert (finding.level, "scaling.provisioned.max is 20" in finding.summary) == (Level.error, True)


@pytest.mark.parametrize(
    ("makes_one", "role", "level"),
    [
        (True, None, Level.ok),
        (True, ROLE, Level.ok),  # the stack's own
        (True, f"arn:aws:iam::{ACCOUNT}:role/landing-zone-api-logs", Level.error),
        (True, ROLE.replace("prod", "dev"), Level.error),
        (True, ROLE.replace("prod", "prod-eu"), Level.error),
        (False, None, Level.error),
        (False, f"arn:aws:iam::{ACCOUNT}:role/landing-zone-api-logs", Level.ok),
    ],
)
def test_the_accounts_log_role_is_never_replaced_silently(makes_one: bool, role: str | None, level: Level) -> None:
    settings = environment(api={"account_log_role": makes_one})
    finding = one(
        findings(settings, apigateway__get_account={} if role is None else {"cloudwatchRoleArn": role}), "log-role"
    )
    assert finding.level is level
    if level is Level.error:
        assert f"Set api.account_log_role to {'false' if makes_one else 'true'}" in finding.action


ECR = {"image": {"source": "ecr", "repository": "team/loupe", "digest": DIGEST}}
MANIFEST = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"digest": "sha256:cc"}}
INDEX = {"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
LAYER = {"downloadUrl": "https://layers.example.com/x"}


def _image(manifest: dict[str, Any]) -> dict[str, Any]:
    return {"images": [{"imageManifest": json.dumps(manifest)}]}


@pytest.mark.parametrize(
    ("answer", "config", "level", "sentence"),
    [
        (_image(MANIFEST), b'{"architecture": "amd64"}', Level.ok, "is in ECR, for amd64"),
        (_image(MANIFEST), b'{"architecture": "arm64"}', Level.error, "is for arm64, and function.architecture is x86"),
        (_image(MANIFEST), b"no json", Level.warning, "its architecture could not be read"),
        (_image(MANIFEST), OSError("timed out"), Level.warning, "could not be read (timed out)"),
        (_image({}), b"", Level.warning, "its architecture could not be read"),
        (_image(INDEX), b"", Level.error, "is an index of several images, which Lambda does not run"),
        ({"failures": [{"failureReason": "Requested image not found"}]}, b"", Level.error, "is not in ECR: Requested"),
        (("RepositoryNotFoundException", "", 400), b"", Level.error, "There is no repository team/loupe"),
        (("AccessDeniedException", "", 400), b"", Level.warning, "may not call ecr:BatchGetImage"),
    ],
)
def test_an_image_in_ecr_must_be_there_by_its_digest_and_for_the_architecture(
    answer: Any, config: Any, level: Level, sentence: str
) -> None:
    report = findings(
        environment(**ECR), config=config, ecr__batch_get_image=answer, ecr__get_download_url_for_layer=LAYER
    )
    finding = one(report, "image")
    assert (finding.level, sentence in finding.summary) == (level, True), finding
    # Nothing is built.
    assert "No image is built" in one(report, "docker").summary


def test_a_missing_asset_repository_is_an_error() -> None:
    finding = one(findings(ecr__describe_repositories=("RepositoryNotFoundException", "", 400)), "image")
    assert finding.level is Level.error
    assert f"cdk-hnb659fds-container-assets-{ACCOUNT}-{REGION}" in finding.summary


@pytest.mark.parametrize(
    ("runner", "level", "sentence"),
    [
        (engine(None), Level.error, "There is no program 'docker'"),
        (
            engine("", code=1, errors="Cannot connect. Is the daemon running?"),
            Level.error,
            "not answer: Cannot connect. Is the daemon running?",
        ),
        (engine({"Client": {}, "Server": None}), Level.error, "does not answer"),
        (engine("no json"), Level.error, "does not answer: no json"),
        (engine({"Client": {"OsArch": "linux/amd64"}}), Level.ok, "builds for linux/amd64"),  # Podman
        (engine(), Level.ok, "is running and builds for linux/amd64"),
    ],
)
def test_the_container_engine_must_answer(runner: Any, level: Level, sentence: str) -> None:
    finding = one(findings(runner=runner), "docker")
    assert (finding.level, sentence in finding.summary) == (level, True), finding


@pytest.mark.parametrize(
    ("builder", "level"),
    [
        ("Name: default\nPlatforms: linux/amd64, linux/386\n", Level.error),
        ("Name: default\nPlatforms: linux/amd64*, linux/arm64\n", Level.warning),
        ("", Level.warning),
    ],
)
def test_another_architecture_needs_an_emulator(builder: str, level: Level) -> None:
    settings = environment(function={"architecture": "arm64"})
    assert one(findings(settings, runner=engine(DOCKER, builder)), "docker").level is level


def _deployed(*subscriptions: tuple[str, str]) -> dict[str, Any]:
    stack = {"StackName": "Loupe-prod", "CreationTime": 0, "StackStatus": "UPDATE_COMPLETE"}
    outputs = [{"OutputKey": "AlarmTopicArn", "OutputValue": TOPIC}]
    return {
        "cloudformation__describe_stacks": {"Stacks": [{**stack, "Outputs": outputs}]},
        "cloudformation__list_stack_resources": {"StackResourceSummaries": []},
        "sns__list_subscriptions_by_topic": {
            "Subscriptions": [{"Endpoint": address, "SubscriptionArn": arn} for address, arn in subscriptions]
        },
    }


CONFIRMED, PENDING = f"{TOPIC}:1", "PendingConfirmation"
NOBODY: dict[str, Any] = {"alarms": {"subscriptions": []}}


@pytest.mark.parametrize(
    ("patch", "answers", "level", "sentence"),
    [
        (NOBODY, {}, Level.error, "The alarm topic has no subscription"),
        ({"alarms": {"enabled": False}}, {}, Level.error, "Alarms are off"),
        ({}, {}, Level.ok, "on-call@example.com, once the address is confirmed"),
        (NOBODY, _deployed(), Level.error, "The alarm topic has no subscription"),
        (NOBODY, _deployed(("chat", CONFIRMED)), Level.ok, "Alarms go to chat"),
        ({}, _deployed(), Level.ok, "once the address is confirmed"),
        ({}, _deployed(("on-call@example.com", PENDING)), Level.error, "has not confirmed"),
        ({}, _deployed(("on-call@example.com", CONFIRMED)), Level.ok, "Alarms go to on-call@example.com"),
        ({}, _deployed(("a@example.com", CONFIRMED), ("b@example.com", PENDING)), Level.warning, "b@example.com has"),
        (NOBODY, _deployed(("gone@example.com", "Deleted")), Level.error, "no subscription"),
    ],
)
def test_production_requires_alarm_recipients(
    patch: dict[str, Any], answers: dict[str, Any], level: Level, sentence: str
) -> None:
    finding = one(findings(environment("prod", **patch), **answers), "alarms")
    assert (finding.level, sentence in finding.summary) == (level, True), finding
    # Elsewhere it is a warning.
    if level is Level.error:
        assert one(findings(environment("dev", **patch), **answers), "alarms").level is Level.warning


def _alias(
    tmp_path: Path, alias: dict[str, Any], *more: tuple[str, str, str], pin: Pin | None = None, **answers: Any
) -> list[Finding]:
    if pin is not None:
        write_pin(pin, tmp_path)
    aws = ScriptedAws({**stack(*more), "lambda.get_alias": {"Name": "live", **alias}, **answers})
    return list(alias_check.check(environment(), aws, tmp_path))


PIN = Pin("prod", "7", "8", "2026-11-26T02:00:00Z", "labels are swapped")
HALF_SHIFTED = {"FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {"8": 0.1}}}


def test_an_alias_on_the_stacks_newest_version_is_ok(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, {"FunctionVersion": "8"})
    assert (finding.level, finding.summary) == (Level.ok, "Alias live serves version 8, the newest of the stack.")


def test_an_alias_elsewhere_without_a_pin_is_a_warning_with_both_ways_out(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, {"FunctionVersion": "7"})
    assert finding.level is Level.warning
    assert "serves version 7, the stack deployed version 8" in finding.summary
    assert "make rollback ENV=prod VERSION=7" in finding.action
    assert "--function-version 8 --routing-config AdditionalVersionWeights={}" in finding.action


def test_a_gradual_release_from_another_version_is_an_error(tmp_path: Path) -> None:
    aws = ScriptedAws({**stack(), "lambda.get_alias": {"Name": "live", "FunctionVersion": "7"}})
    for strategy, level in (("canary", Level.error), ("all_at_once", Level.warning)):
        (finding,) = alias_check.check(environment("prod", release={"strategy": strategy}), aws, tmp_path)
        assert finding.level is level
        assert ("all_at_once" in finding.action) == (level is Level.error)


def test_a_half_shifted_alias_is_an_error_with_the_repair(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, HALF_SHIFTED)
    assert finding.level is Level.error
    assert "version 7, 10% on version 8" in finding.summary
    assert "Invalid alias configuration for Provisioned Concurrency" in finding.summary
    repair = (
        "aws lambda update-alias --function-name loupe-prod --name live --routing-config AdditionalVersionWeights={}"
    )
    assert finding.action.startswith(repair)
    # The runbook documents the same command.
    assert repair.replace("prod", "ENV") in (ROOT / "docs" / "runbook.md").read_text()


def test_a_shift_by_codedeploy_is_no_half_shifted_alias(tmp_path: Path) -> None:
    deploying = {
        "codedeploy.list_deployment_groups": {"deploymentGroups": ["group"]},
        "codedeploy.get_deployment_group": {
            "deploymentGroupInfo": {"lastAttemptedDeployment": {"deploymentId": "d-1"}}
        },
        "codedeploy.get_deployment": {"deploymentInfo": {"status": "InProgress"}},
    }
    (finding,) = _alias(tmp_path, HALF_SHIFTED, *CODEDEPLOY, **deploying)
    assert (finding.level, "d-1 is in progress" in finding.summary) == (Level.warning, True)
    deploying["codedeploy.get_deployment"] = {"deploymentInfo": {"status": "Stopped"}}
    assert _alias(tmp_path, HALF_SHIFTED, *CODEDEPLOY, **deploying)[0].level is Level.error


def test_a_pin_is_an_error_that_says_how_to_lift_it(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, {"FunctionVersion": "7"}, pin=PIN)
    assert (finding.level, finding.action) == (Level.error, "make rollback ENV=prod LIFT=1")
    assert "pinned to version 7 (in place of 8) since 2026-11-26T02:00:00Z: labels are swapped" in finding.summary
    _, moved = _alias(tmp_path, {"FunctionVersion": "8"}, pin=PIN)
    assert (moved.level, moved.action) == (Level.warning, "make rollback ENV=prod VERSION=7")
    (tmp_path / "prod.json").write_text("{")
    (damaged,) = _alias(tmp_path, {"FunctionVersion": "7"})
    assert (damaged.level, "cannot be read" in damaged.summary) == (Level.error, True)


def test_environments_that_keep_data_are_production() -> None:
    protection = {"keep_data": True}
    assert is_production(environment("prod"))
    assert is_production(environment("prod-eu"))
    assert is_production(environment("europe", protection=protection))
    assert not is_production(environment("staging"))
    assert not is_production(environment("product-demo"))


def test_the_default_tags_of_cdk_json_are_a_warning() -> None:
    shipped = json.loads((ROOT / "cdk.json").read_text())["context"]["environments"]["prod"]["tags"]
    assert shipped == PLACEHOLDER_TAGS
    finding = one(findings(environment(tags=shipped)), "tags")
    assert (finding.level, "Owner: platform" in finding.summary) == (Level.warning, True)


def test_the_local_cloud_is_no_environment_to_deploy_to_aws() -> None:
    local = environment(
        "local",
        image={"source": "ecr", "repository": "loupe", "tag": "x"},
        alarms={"composite": False, "saved_queries": False},
        region=None,
    )
    (finding,) = examine(local, Surroundings(None))
    assert (finding.level, finding.action) == (Level.error, "Run `make up`.")


def test_errors_of_an_allowed_check_are_warnings() -> None:
    report = findings(environment(**NOBODY))
    assert one(allowing(report, ["alarms"]), "alarms").level is Level.warning
    assert one(allowing(report, ["tags"]), "alarms").level is Level.error


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no region, and a container engine that is not there."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("CDK_DOCKER", "/nonexistent/docker")


def _run(*options: str) -> tuple[int, str]:
    run = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(command.app, options)
    return run.exit_code, run.output


def test_the_command_prints_text_or_json_and_ends_with_1_where_there_is_an_error(offline: None) -> None:
    code, text = _run("--env", "prod")
    assert code == 1
    assert "✗ alarms" in text
    assert "prod is not ready to be deployed: 3 errors." in text
    assert "Traceback" not in text
    code, text = _run("--env", "prod", "--json")
    report = json.loads(text)
    assert (code, report["environment"], report["counts"]["error"]) == (1, "prod", 3)
    assert {"check", "level", "summary", "action"} == set(report["findings"][0])


def test_the_command_ends_with_0_where_every_error_is_allowed(offline: None) -> None:
    code, text = _run("--env", "prod", "--allow", "alarms", "--allow", "account", "--allow", "docker")
    assert (code, "prod can be deployed." in text) == (0, True)


def test_a_profile_that_does_not_exist_is_a_finding(offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    code, text = _run("--env", "prod")
    assert (code, "The config profile (nobody) could not be found" in text) == (1, True)


def test_invalid_settings_and_names_are_reported_without_a_traceback(
    offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no environment 'nowhere'" in _run("--env", "nowhere")[1]
    assert "there is no such key" in _run("--settings", '{"functon": {}}')[1]
    code, text = _run("--allow", "everything")
    assert (code, "is not a check. Checks: environment" in text) == (2, True)

    def broken(*_: Any) -> Any:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(command, "examine", broken)
    monkeypatch.setenv("AWS_REGION", REGION)
    code, text = _run("--env", "prod")
    assert (code, "RuntimeError: unforeseen" in text) == (1, True)


def test_make_deploy_runs_it_first() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^deploy: doctor ", makefile, re.MULTILINE)
    assert "-m tools.doctor --env $(ENV)" in makefile
