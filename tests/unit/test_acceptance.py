"""The acceptance suite on targets in memory: what it runs, what it always does, and what it reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from infra.settings import SettingsError, load_settings
from localcloud.settings import compose
from tools import cdk as cdk_program
from tools.acceptance import __main__ as command
from tools.acceptance import aws, cost, transcript
from tools.acceptance import steps as suite_steps
from tools.acceptance.steps import API_KEYS, CANARY, FIREWALL, IAM, ONE_CLIENT, steps
from tools.acceptance.suite import Context, Outcome, Step, execute
from tools.acceptance.sweep import sweep
from tools.acceptance.target import AcceptanceError, Deployed
from tools.smoke.credentials import ApiKey

PROJECT = Path(__file__).parents[2]
CONTEXT = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))["context"]


class FakeClient:
    """Answers list operations with what is left in the account."""

    def __init__(self, lists: Mapping[str, Any]) -> None:
        self._lists = lists

    def can_paginate(self, _operation: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Any:
        return lambda **_options: self._lists.get(operation, {"Buckets": []})


class FakeTarget:
    """A target that records what is asked of it."""

    name = "fake"
    environment = "acc-1"

    def __init__(self, lists: Mapping[str, Any] | None = None, limits: Mapping[str, str] | None = None) -> None:
        self.limits = limits or {}
        self.calls: list[str] = []
        self._lists = lists or {}

    def versions(self) -> Mapping[str, str]:
        return {}

    def doctor(self, settings: Mapping[str, Any]) -> str:
        return "nothing is wrong"

    def deploy(self, settings: Mapping[str, Any]) -> Deployed:
        self.calls.append(f"deploy {settings['auth']['mode']}")
        return Deployed("https://x.test/", {})

    def diff(self, settings: Mapping[str, Any]) -> str:
        return ""

    def client(self, _service: str) -> Any:
        return FakeClient(self._lists)

    def signature(self) -> Any:
        raise AcceptanceError("no signature")

    def destroy(self) -> None:
        self.calls.append("destroy")

    def close(self) -> None:
        self.calls.append("close")


def run(target: FakeTarget, ordinary: list[Step], last: list[Step]) -> list[Outcome]:
    return execute(Context(target, dict(API_KEYS), 1.0), ordinary, last, lambda _: None)


def failing(context: Context) -> str:
    raise AcceptanceError("it does not work")


def test_the_copy_is_destroyed_and_swept_after_a_failure() -> None:
    target = FakeTarget()
    _, last = steps(PROJECT)
    essential = Step("deploy", failing, essential=True)
    outcomes = run(target, [essential, Step("smoke", lambda _: "never")], last)
    assert [(outcome.name, outcome.status) for outcome in outcomes] == [
        ("deploy", "failed"),
        ("smoke", "not reached"),
        ("destroy", "passed"),
        ("sweep", "passed"),
    ]
    assert target.calls == ["destroy"]


def test_the_copy_is_destroyed_after_an_interrupt() -> None:
    target = FakeTarget()

    def interrupted(_: Context) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(target, [Step("deploy", interrupted)], steps(PROJECT)[1])
    assert target.calls == ["destroy"]


def test_a_failure_that_is_not_essential_does_not_end_the_run() -> None:
    outcomes = run(FakeTarget(), [Step("one", failing), Step("two", lambda _: "done")], [])
    assert [(outcome.status, outcome.detail) for outcome in outcomes] == [
        ("failed", "it does not work"),
        ("passed", "done"),
    ]


def test_skipped_steps_are_listed_and_not_reported_as_passed() -> None:
    target = FakeTarget(limits={"firewall": "there is none"})
    (outcome,) = run(target, [Step("firewall on", lambda _: "never", needs="firewall")], [])
    assert (outcome.status, outcome.detail) == ("skipped", "there is none")
    page = transcript.markdown({"target": "fake"}, [outcome])
    assert "Skipped on this target:\n\n- firewall on: there is none" in page


@pytest.mark.parametrize(
    ("lists", "unexpected"),
    [
        ({"list_functions": {"Functions": [{"FunctionName": "loupe-acc-1"}]}}, ["function loupe-acc-1"]),
        ({"list_functions": {"Functions": [{"FunctionName": "loupe-prod"}]}}, []),
        ({"get_rest_apis": {"items": [{"name": "loupe-acc-1", "id": "a"}]}}, ["REST API a"]),
        ({"get_usage_plans": {"items": [{"name": "loupe-acc-1-first"}]}}, ["usage plan loupe-acc-1-first"]),
        ({"get_api_keys": {"items": [{"description": "Loupe acc-1: client first", "id": "k"}]}}, ["API key k"]),
        ({"list_roles": {"Roles": [{"RoleName": "Loupe-acc-1-ClassifierRole"}]}}, ["role Loupe-acc-1-ClassifierRole"]),
        ({"list_roles": {"Roles": [{"RoleName": "Loupe-acc-1-ApiCloudWatchRole"}]}}, []),
        ({"describe_log_groups": {"logGroups": [{"logGroupName": "/aws/lambda/loupe-acc-1"}]}},
         ["log group /aws/lambda/loupe-acc-1"]),
        ({"describe_alarms": {"MetricAlarms": [{"AlarmName": "loupe-acc-1-X"}]}}, ["alarm loupe-acc-1-X"]),
        ({"describe_alarms": {"CompositeAlarms": [{"AlarmName": "loupe-acc-1-O"}]}}, ["alarm loupe-acc-1-O"]),
        ({"list_topics": {"Topics": [{"TopicArn": "arn:aws:sns:r:1:Loupe-acc-1-T"}]}}, ["topic Loupe-acc-1-T"]),
        ({"list_buckets": {"Buckets": [{"Name": "loupe-acc-1-uploads"}]}}, ["bucket loupe-acc-1-uploads"]),
        ({"describe_stacks": {"Stacks": [{"StackName": "Loupe-acc-1", "StackStatus": "DELETE_FAILED"}]}},
         ["stack Loupe-acc-1 (DELETE_FAILED)"]),
        ({"describe_stacks": {"Stacks": [{"StackName": "Loupe-acc-1", "StackStatus": "DELETE_COMPLETE"}]}}, []),
        ({"list_dashboards": {"DashboardEntries": [{"DashboardName": "loupe-acc-1"}]}}, ["dashboard loupe-acc-1"]),
        ({"list_web_acls": {"WebACLs": [{"Name": "loupe-acc-1"}]}}, ["web ACL loupe-acc-1"]),
        ({"list_state_machines": {"stateMachines": [{"name": "loupe-acc-1-bulk"}]}},
         ["state machine loupe-acc-1-bulk"]),
        ({"list_queues": {"QueueUrls": ["https://sqs.r.amazonaws.com/1/Loupe-acc-1-A"]}}, ["queue Loupe-acc-1-A"]),
        ({"list_rules": {"Rules": [{"Name": "Loupe-acc-1-R"}]}}, ["event rule Loupe-acc-1-R"]),
        ({"list_event_source_mappings": {"EventSourceMappings": [
            {"UUID": "u", "FunctionArn": "arn:aws:lambda:r:1:function:loupe-acc-1-bulk:live"}]}},
         ["event source mapping u"]),
        ({"describe_query_definitions": {"queryDefinitions": [{"name": "loupe-acc-1/a"}]}},
         ["saved query loupe-acc-1/a"]),
        ({"describe_parameters": {"Parameters": [{"Name": "/loupe-acc-1/experiment-weights"}]}},
         ["parameter /loupe-acc-1/experiment-weights"]),
        ({"list_applications": {"applications": ["Loupe-acc-1-ReleaseGroupApplication-x", "Loupe-prod-x"]}},
         ["CodeDeploy application Loupe-acc-1-ReleaseGroupApplication-x"]),
        ({"list_secrets": {"SecretList": [{"Name": "s", "Description": "Loupe acc-1: API key"}]}}, ["secret s"]),
        ({"list_aliases": {"Aliases": [{"AliasName": "alias/loupe-acc-1"}]}}, ["key alias alias/loupe-acc-1"]),
        ({"list_keys": {"Keys": [{"KeyId": "k"}]}, "describe_key": {"KeyMetadata": {
            "KeyId": "k", "Description": "loupe-acc-1: logs", "KeyState": "Enabled"}}}, ["key k"]),
        ({"list_keys": {"Keys": [{"KeyId": "k"}]}, "describe_key": {"KeyMetadata": {
            "KeyId": "k", "Description": "loupe-acc-1: logs", "KeyState": "PendingDeletion"}}}, []),
    ],
)  # fmt: skip
def test_the_sweep_distinguishes_leftovers_from_retained_resources(
    lists: dict[str, Any], unexpected: list[str]
) -> None:
    leftovers = sweep(FakeTarget(lists))
    assert [str(leftover) for leftover in leftovers if not leftover.reason] == unexpected


def test_a_cap_below_the_estimate_ends_the_run_before_anything_is_deployed() -> None:
    total = sum(line.dollars for line in cost.estimate())
    assert 0.1 < total < 5
    context = Context(FakeTarget(), dict(API_KEYS), max_usd=total / 2)
    with pytest.raises(AcceptanceError, match="raise --max-usd"):
        cost.check(context)


@pytest.mark.parametrize("variant", [API_KEYS, ONE_CLIENT, IAM, CANARY, FIREWALL])
@pytest.mark.parametrize("base", ["dev", "staging", "prod"])
def test_every_setting_of_the_suite_can_be_deployed_as_a_copy(base: str, variant: Mapping[str, Any]) -> None:
    patch = json.dumps(compose(command.COPY, variant))
    settings = load_settings(CONTEXT, base, patch, environment="acc-123456")
    assert settings.environment == "acc-123456"
    assert not settings.protection.keep_data
    assert not settings.protection.termination_protection


def test_a_copy_is_never_local() -> None:
    for name, copy in (("local", "acc-1"), ("dev", "local")):
        with pytest.raises(SettingsError, match="neither may be 'local'"):
            load_settings(CONTEXT, name, environment=copy)


@pytest.fixture
def cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the CDK command line that records its arguments and fails on request."""
    program, record = tmp_path / "cdk", tmp_path / "arguments"
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$*" >> {record}\n'
        'case "$*" in *explode*) echo "the stack was rolled back"; exit 1;; esac\n'
        'while [ $# -gt 0 ]; do if [ "$1" = --outputs-file ]; then\n'
        '  echo \'{"Loupe-acc-1": {"Url": "https://x.test/live/"}}\' > "$2"; fi; shift; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(cdk_program, "CDK", program)
    return record


class FakeAccount:
    """CloudFormation, S3 and API Gateway of an account with one stack and its bucket.

    ``statuses`` are those of the stack, one after the other; the last stays.
    """

    def __init__(self, *, log_role: str = "", statuses: tuple[str, ...] = ("CREATE_COMPLETE",)) -> None:
        self._log_role, self._statuses = log_role, list(statuses)
        self.objects = {"loupe-acc-1-uploads": ["uploads/1", "uploads/2"], "another": ["kept"]}
        self.waits: list[float] = []

    def client(self, _service: str) -> FakeAccount:
        return self

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def get_account(self) -> dict[str, str]:
        return {"cloudwatchRoleArn": self._log_role} if self._log_role else {}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert StackName == "Loupe-acc-1"
        if not self._statuses:
            error = {"Code": "ValidationError", "Message": "Stack with id Loupe-acc-1 does not exist"}
            raise ClientError({"Error": error}, "DescribeStacks")
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return {"Stacks": [{"StackStatus": status}]}

    def get_paginator(self, operation: str) -> Any:
        def paginate(**options: str) -> Iterator[dict[str, Any]]:
            if operation == "list_stack_resources":
                bucket, function = ("AWS::S3::Bucket", "loupe-acc-1-uploads"), ("AWS::Lambda::Function", "another")
                for kind, name in (bucket, function):
                    status = "CREATE_COMPLETE"
                    resource = {"ResourceType": kind, "PhysicalResourceId": name, "ResourceStatus": status}
                    yield {"StackResourceSummaries": [resource]}
                never = {"ResourceType": "AWS::S3::Bucket", "ResourceStatus": "CREATE_FAILED"}
                yield {"StackResourceSummaries": [never]}
            else:
                yield {}
                yield {"Contents": [{"Key": key} for key in self.objects[options["Bucket"]]]}

        return SimpleNamespace(paginate=paginate)

    def delete_objects(self, Bucket: str, Delete: Any) -> None:  # noqa: N803
        for item in Delete["Objects"]:
            self.objects[Bucket].remove(item["Key"])


def aws_target(account: FakeAccount, folder: Path, patch: Mapping[str, Any]) -> aws.AwsTarget:
    target = aws.AwsTarget("dev", "acc-1", patch, folder / "cdk.log", sleep=account.sleep)
    target.client = account.client  # type: ignore[method-assign]
    return target


def test_uploaded_images_are_deleted_before_the_stack_whose_bucket_would_stay(cdk: Path, tmp_path: Path) -> None:
    account = FakeAccount()
    target = aws_target(account, tmp_path, {})
    target.deploy(API_KEYS)
    target.destroy()
    assert account.objects == {"loupe-acc-1-uploads": [], "another": ["kept"]}
    assert "destroy --force" in cdk.read_text().splitlines()[-1]


def test_a_stack_is_destroyed_once_an_interrupted_deployment_has_ended(cdk: Path, tmp_path: Path) -> None:
    account = FakeAccount(statuses=("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"))
    target = aws_target(account, tmp_path, {})
    target.deploy(API_KEYS)
    target.destroy()
    assert len(account.waits) == 2
    assert "destroy --force" in cdk.read_text().splitlines()[-1]


def test_a_deployment_that_made_no_stack_can_be_destroyed(cdk: Path, tmp_path: Path) -> None:
    account = FakeAccount(statuses=())
    target = aws_target(account, tmp_path, {})
    target.deploy(API_KEYS)
    target.destroy()
    assert account.objects["loupe-acc-1-uploads"] == ["uploads/1", "uploads/2"]
    assert "destroy --force" in cdk.read_text().splitlines()[-1]


@pytest.mark.parametrize(("role", "replaced"), [("", False), ("arn:aws:iam::111122223333:role/shared", True)])
def test_a_copy_leaves_the_accounts_log_role_alone(cdk: Path, tmp_path: Path, role: str, replaced: bool) -> None:
    aws_target(FakeAccount(log_role=role), tmp_path, {}).deploy(API_KEYS)
    assert ('"account_log_role": false' in cdk.read_text()) is replaced


def test_the_aws_target_deploys_a_copy_by_name(cdk: Path, tmp_path: Path) -> None:
    target = aws_target(FakeAccount(), tmp_path, {"protection": {"keep_data": False}})
    target.destroy()
    assert not cdk.exists()
    assert target.deploy(API_KEYS).url == "https://x.test/live/"
    target.destroy()
    deploy, destroy = cdk.read_text().splitlines()
    for line in (deploy, destroy):
        assert "-c env=dev -c name=acc-1" in line
    assert '"keep_data": false' in deploy
    assert '"mode": "api-key"' in deploy


def test_a_failed_deployment_is_reported_with_the_end_of_the_log(cdk: Path, tmp_path: Path) -> None:
    target = aws_target(FakeAccount(), tmp_path, {"model": {"name": "explode"}})
    with pytest.raises(AcceptanceError, match=r"(?s)cdk deploy failed.*the stack was rolled back"):
        target.deploy(API_KEYS)
    assert "the stack was rolled back" in (tmp_path / "cdk.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--env", "nowhere"], "cdk.json has no environment 'nowhere'"),
        (["--env", "dev", "--settings", "{"], "--settings is not JSON"),
    ],
)
def test_wrong_arguments_are_reported_clearly(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(command.app, arguments)
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.parametrize(
    "variables",
    [{"AWS_PROFILE": "no-such-profile"}, {"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true"}],
)
def test_missing_credentials_are_reported_without_a_transcript(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    transcript_file = tmp_path / "transcript.md"
    result = CliRunner().invoke(command.app, ["--env", "dev", "--output", str(transcript_file)])
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert not transcript_file.exists()


def test_a_change_counts_after_several_identical_responses_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = iter([200, 403, 200, 403, 403, 403])

    class Answers:
        def __init__(self, *_: Any) -> None: ...

        def get(self, path: str, **_options: Any) -> Any:
            return SimpleNamespace(status=200 if path == "v1/health" else next(statuses))

        def close(self) -> None: ...

    monkeypatch.setattr(suite_steps, "Endpoint", Answers)
    monkeypatch.setattr(suite_steps.time, "sleep", lambda _: None)
    context = Context(FakeTarget(), dict(API_KEYS), 1.0, Deployed("https://x.test/", {}))
    assert suite_steps._expect(context, ApiKey("k"), (401, 403)) == 403
    assert list(statuses) == []


def test_a_table_cell_stays_on_its_line() -> None:
    page = transcript.markdown({}, [Outcome("step", "failed", "one | two\nthree", 1.0)])
    assert "| step | failed | 1 | one \\| two three |" in page
