"""`python -m localcloud release`: deploy what has changed and let the stand-in for CodeDeploy move the alias."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from localcloud import cloud, isolation, omissions
from localcloud.aws import Account
from localcloud.deploy import Deployer
from localcloud.errors import CloudError
from localcloud.hook_reports import PATH
from localcloud.releases import Deployment, Outcome, Plan, weights_of
from localcloud.settings import ENVIRONMENT, effective

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localcloud.cloud import Steps
    from localcloud.state import State

ALIAS = "live"
# A minute of a release. The local alarms judge periods of ten seconds, three at a time.
MINUTE_SECONDS = 10.0
# A hook runs for up to ten minutes, once.
HOOK_CONFIG = Config(read_timeout=660, retries={"total_max_attempts": 1, "mode": "standard"})


@dataclass(frozen=True)
class FleetReports:
    """Hook reports behind the fleet's port."""

    port: int

    def expect(self, deployment: str, execution: str) -> None:
        isolation.opener.open(
            self._url, json.dumps({"deployment": deployment, "execution": execution}).encode(), timeout=5
        )

    def status(self, execution: str) -> str | None:
        with isolation.opener.open(f"{self._url}/{execution}", timeout=5) as response:
            status: str | None = json.load(response)["status"]
        return status

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"


def release(
    state: State,
    settings: Mapping[str, Any],
    steps: Steps,
    notify: Callable[[str], None],
    minute: float = MINUTE_SECONDS,
) -> Outcome:
    """Deploy the present code and settings as a release.

    MiniStack's CloudFormation moves the alias as it deploys; this moves it back at once and shifts it as CodeDeploy
    would. After a rollback the previous template is deployed, as CloudFormation does when a deployment fails.

    Raises
    ------
    CloudError
        If no cloud is up, ``release.strategy`` is ``all_at_once``, the alias is not at the version of the stack, or the
        stack cannot be deployed.
    """
    rules = effective(settings).release
    if not rules.gradual:
        raise CloudError("release.strategy is all_at_once: --set release.strategy=canary, or `make up` to deploy.")
    running = state.running()
    if running is None or not running.alive():
        raise CloudError("No local cloud is up: make up.")
    endpoint = state.read_endpoint()
    account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
    functions, name = account.client("lambda", HOOK_CONFIG), endpoint["outputs"]["FunctionName"]
    before = functions.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
    deployed = stack_version(account, name)
    if deployed not in (None, before):
        raise CloudError(
            f"Alias {ALIAS} serves version {before}, and the stack deployed version {deployed}: CodeDeploy rejects a "
            "gradual release that begins elsewhere. Deploy all at once first: make up."
        )
    previous = state.root / "previous-assembly"
    shutil.rmtree(previous, ignore_errors=True)
    shutil.copytree(state.assembly, previous)
    moved: list[str] = []

    def hold(_: Account) -> None:
        moved.append(functions.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"])
        functions.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=before)

    cloud.up(state, 0, settings, steps, deployed=hold)
    target = moved[0]
    if target == before:
        return Outcome("Succeeded", "nothing of the function has changed: no version, no deployment")
    functions_of = {
        part: f"{name}-{part}-traffic" if enabled else None
        for part, enabled in (
            ("before", rules.hooks), ("after", rules.hooks), ("synthetic", rules.synthetic_traffic),
        )
    }  # fmt: skip
    plan = Plan(
        function=name,
        alias=ALIAS,
        current=before,
        target=target,
        weights=weights_of(rules.strategy, rules.percent),
        interval=rules.interval_minutes * minute,
        minute=minute,
        before=functions_of["before"],
        after=functions_of["after"],
        synthetic=functions_of["synthetic"],
        alarms=release_alarms(account.client("cloudwatch"), name, target),
    )
    notify("This stands in for AWS CodeDeploy; docs/releases.md says what it replays.")
    outcome = Deployment(plan, functions, account.client("cloudwatch"), FleetReports(running.fleet_port), notify).run()
    if outcome.rolled_back:
        shutil.rmtree(state.assembly)
        shutil.move(previous, state.assembly)
        with steps("previous stack deployed"):
            Deployer(state, account).deploy().wait()
            omissions.complete(account, state.assembly)
    return outcome


def stack_version(account: Account, function: str) -> str | None:
    """Return the number of the function's version that the stack has, or None if it has none."""
    resources = account.client("cloudformation").get_paginator("list_stack_resources")
    arns = [
        item.get("PhysicalResourceId", "")
        for page in resources.paginate(StackName=f"Loupe-{ENVIRONMENT}")
        for item in page["StackResourceSummaries"]
        if item["ResourceType"] == "AWS::Lambda::Version"
    ]
    numbers = [arn.rpartition(":")[2] for arn in arns if f":function:{function}:" in arn]
    return max(numbers, key=int, default=None)


def release_alarms(cloudwatch: Any, function: str, version: str) -> list[str]:
    """Return the names of the rollback alarms that watch a version."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{function}-Release")
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    return [name for name in names if name.endswith(f"-{version}")]
