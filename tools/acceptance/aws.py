"""An AWS account as a target: the CDK command line with the credentials of the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from localcloud.settings import compose
from tools import cdk
from tools.acceptance.target import AcceptanceError, Deployed, Released
from tools.doctor.aws import is_missing_stack
from tools.smoke.credentials import AwsSignature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tools.smoke.credentials import Credentials

# CloudFormation finishes or rolls back what an interrupted `cdk deploy` began.
_STABLE_SECONDS = 3600.0
_POLL_SECONDS = 10.0
_ABSENT = ("CREATE_FAILED", "DELETE_COMPLETE")


class AwsTarget:
    """Deploys a copy of an environment under a unique name.

    Parameters
    ----------
    base
        The environment whose settings are taken.
    environment
        Name of the copy.
    patch
        Settings of the copy that the suite does not vary.
    log
        File that takes the output of the CDK command line.
    region
        Where the stack is deployed; None for the one that the AWS configuration names.
    sleep
        Replaced in tests.
    """

    name = "aws"

    def __init__(
        self,
        base: str,
        environment: str,
        patch: Mapping[str, Any],
        log: Path,
        *,
        region: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import boto3

        self.environment, self._base, self._patch, self._log = environment, base, patch, log
        self.limits: Mapping[str, str] = {}
        self._session = boto3.Session(region_name=region)
        self._sleep = sleep
        self._deployed = False

    def versions(self) -> Mapping[str, str]:
        account = self.client("sts").get_caller_identity()["Account"]
        docker = _output([os.environ.get("CDK_DOCKER", "docker"), "--version"])
        # The transcript is published, so account numbers are removed.
        return {"account": f"...{account[-4:]}", "region": str(self._session.region_name), "docker": docker}

    def doctor(self, settings: Mapping[str, Any]) -> str:
        patch = json.dumps(self._merged(settings))
        # The copy lives for an hour and has no alarm recipients: the suite subscribes a queue.
        command = [sys.executable, "-m", "tools.doctor", "--env", self._base, "--settings", patch, "--allow", "alarms"]
        process = subprocess.run(command, cwd=cdk.PROJECT, capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise AcceptanceError(cdk.tail(process.stdout + process.stderr))
        return process.stdout.strip().splitlines()[-1]

    def deploy(self, settings: Mapping[str, Any]) -> Deployed:
        self._deployed = True
        with tempfile.TemporaryDirectory() as folder:
            outputs_file = Path(folder) / "outputs.json"
            self._cdk(
                ["deploy", "--require-approval", "never", "--progress", "events", "--outputs-file", str(outputs_file)],
                settings,
            )
            stacks = json.loads(outputs_file.read_text(encoding="utf-8"))
        outputs = next((values for values in stacks.values() if "Url" in values), None)
        if outputs is None:
            raise AcceptanceError(f"No stack of {sorted(stacks)} has an output Url.")
        return Deployed(outputs["Url"], outputs)

    def release(self, settings: Mapping[str, Any]) -> Released:
        """Deploy, and distinguish a release that CodeDeploy rolled back from a deployment that failed otherwise."""
        began = int(time.time() * 1000)
        process = self._run(["deploy", "--require-approval", "never", "--progress", "events"], settings)
        if process.returncode == 0:
            return Released(False, "cdk deploy succeeded")
        status = self._status()
        if status != "UPDATE_ROLLBACK_COMPLETE":
            raise AcceptanceError(f"the stack is {status or 'missing'}; {cdk.failure(process, self._log)}")
        return Released(True, self._failure_reason(), tuple(self._findings(began)))

    def _failure_reason(self) -> str:
        """Return why the last update failed: the first resource that did, by the stack's own events."""
        client = self.client("cloudformation")
        failures: list[str] = []
        # Newest first, and back to the start of the update.
        for page in client.get_paginator("describe_stack_events").paginate(StackName=self._stack):
            for event in page["StackEvents"]:
                if event["ResourceStatus"] == "UPDATE_IN_PROGRESS" and event["LogicalResourceId"] == self._stack:
                    return failures[-1] if failures else "CloudFormation names no failure"
                if event["ResourceStatus"].endswith("_FAILED"):
                    failures.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason')}")
        return failures[-1] if failures else "CloudFormation names no failure"

    def _findings(self, began: int) -> Iterator[str]:
        """Yield what the release's checks found wrong since a time in ms, from the log of the hook before traffic."""
        name = f"loupe-{self.environment}-before-traffic"
        configuration = self.client("lambda").get_function_configuration(FunctionName=name)
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(
                logGroupName=configuration["LoggingConfig"]["LogGroup"],
                startTime=began,
                filterPattern="{ $.finding = * }",
            )
        )
        for page in pages:
            for event in page["events"]:
                yield str(json.loads(event["message"])["finding"])

    def diff(self, settings: Mapping[str, Any]) -> str:
        process = self._run(["diff", "--fail", "--no-color"], settings)
        if process.returncode == 0:
            return ""
        return cdk.tail(process.stdout)

    def client(self, service: str) -> Any:
        session: Any = self._session
        return session.client(service)

    def signature(self) -> Credentials:
        return AwsSignature.from_session(self._session.region_name)

    def destroy(self) -> None:
        if not self._deployed:
            return
        self._wait_until_stable()
        self._empty_buckets()
        self._cdk(["destroy", "--force"], {})

    def close(self) -> None:
        """Do nothing: the account is not managed by this program."""

    @cached_property
    def _has_log_role(self) -> bool:
        """Whether API Gateway could write the account's logs before the copy was deployed."""
        return bool(self.client("apigateway").get_account().get("cloudwatchRoleArn"))

    def _merged(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        # Two patches in turn: a null of the first deletes what the environment says.
        merged = compose(self._patch, settings)
        # The role is the account's: the copy would replace the one that other APIs of the region write with.
        return compose(merged, {"api": {"account_log_role": False}}) if self._has_log_role else merged

    def _wait_until_stable(self) -> None:
        """Wait until CloudFormation has finished with the stack: it does not delete one that is being changed."""
        deadline = time.monotonic() + _STABLE_SECONDS
        while (status := self._status()).endswith("_IN_PROGRESS"):
            if time.monotonic() >= deadline:
                raise AcceptanceError(f"the stack {self._stack} has been {status} for {_STABLE_SECONDS / 60:.0f} min")
            self._sleep(_POLL_SECONDS)

    def _status(self) -> str:
        """The status of the stack; empty if there is none."""
        try:
            description = self.client("cloudformation").describe_stacks(StackName=self._stack)
        except ClientError as error:
            if is_missing_stack(error.response["Error"]["Code"], str(error)):
                return ""
            raise
        return str(description["Stacks"][0]["StackStatus"])

    def _empty_buckets(self) -> None:
        """Delete the images that smoke tests uploaded: CloudFormation deletes no bucket that holds objects."""
        if not self._status():
            return
        client = self.client("s3")
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self._stack)
        for resource in (resource for page in pages for resource in page["StackResourceSummaries"]):
            bucket = resource.get("PhysicalResourceId")
            if resource["ResourceType"] != "AWS::S3::Bucket" or not bucket or resource["ResourceStatus"] in _ABSENT:
                continue
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                if keys := [{"Key": item["Key"]} for item in page.get("Contents", [])]:
                    client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})

    @property
    def _stack(self) -> str:
        return f"Loupe-{self.environment}"

    def _cdk(self, arguments: Sequence[str], settings: Mapping[str, Any]) -> None:
        process = self._run(arguments, settings)
        if process.returncode != 0:
            raise AcceptanceError(cdk.failure(process, self._log))

    def _run(self, arguments: Sequence[str], settings: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        merged = json.dumps(self._merged(settings))
        context = ["-c", f"env={self._base}", "-c", f"name={self.environment}", "-c", f"settings={merged}"]
        return cdk.run([*arguments, *context], self._log)


def _output(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"
