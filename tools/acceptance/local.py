"""The local cloud as a target: the same CDK app on an emulator. It lists the steps that it cannot show."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from localcloud import cloud
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.deploy import Deployer
from localcloud.errors import CloudError
from localcloud.release_command import release
from localcloud.settings import ENVIRONMENT, compose
from tools.acceptance.target import AcceptanceError, Deployed, Released
from tools.smoke.credentials import AwsSignature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.state import State
    from tools.smoke.credentials import Credentials

LIMITS: Mapping[str, str] = {
    "saved queries": "MiniStack carries no saved queries",
    "doctor": "quotas, Docker, the bootstrap stack and ECR are AWS's",
    "cost": "nothing is charged",
    "codedeploy": "MiniStack has no CodeDeploy; localcloud.releases stands in for it",
    "firewall": "MiniStack carries no AWS WAF association",
}


class LocalTarget:
    """Deploys environment ``local`` to MiniStack and Lambda's runtime emulator."""

    name = "local"

    def __init__(self, state: State, base: Mapping[str, Any]) -> None:
        self._state, self._base = state, base
        self.environment, self.limits = ENVIRONMENT, LIMITS
        self._account: Account | None = None
        self._signature: Credentials | None = None

    def versions(self) -> Mapping[str, str]:
        return {}

    def doctor(self, settings: Mapping[str, Any]) -> str:  # noqa: ARG002
        raise AcceptanceError(LIMITS["doctor"])

    def deploy(self, settings: Mapping[str, Any]) -> Deployed:
        try:
            endpoint = cloud.up(self._state, 0, compose(self._base, settings), Steps(lambda _step, _seconds: None))
        except CloudError as error:
            raise AcceptanceError(str(error)) from error
        self._account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
        return Deployed(endpoint["url"], endpoint["outputs"])

    def release(self, settings: Mapping[str, Any]) -> Released:
        """Release by the stand-in for CodeDeploy."""
        steps = Steps(lambda _step, _seconds: None)
        try:
            outcome = release(self._state, compose(self._base, settings), steps, lambda _event: None)
        except CloudError as error:
            raise AcceptanceError(str(error)) from error
        return Released(outcome.rolled_back, f"{outcome.status}, {outcome.reason}", outcome.findings)

    def diff(self, settings: Mapping[str, Any]) -> str:
        """Synthesize and deploy once more; a difference of the two templates is what would change."""
        before = self._template()
        self.deploy(settings)
        return "\n".join(unified_diff(before, self._template(), "deployed", "synthesized again", lineterm=""))

    def _template(self) -> list[str]:
        (path,) = self._state.assembly.glob("*.template.json")
        return path.read_text(encoding="utf-8").splitlines()

    def client(self, service: str) -> Any:
        if self._account is None:
            raise AcceptanceError("Nothing has been deployed yet.")
        return self._account.client(service)

    def signature(self) -> Credentials:
        """An IAM user of the emulated account whose policy lets it invoke every API."""
        if self._signature is None:
            iam = self.client("iam")
            iam.create_user(UserName="acceptance")
            key = iam.create_access_key(UserName="acceptance")["AccessKey"]
            statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName="acceptance", PolicyName="invoke", PolicyDocument=policy)
            region = self._account.region if self._account else ""
            self._signature = AwsSignature(key["AccessKeyId"], key["SecretAccessKey"], None, region)
        return self._signature

    def destroy(self) -> None:
        if self._account is None:
            return
        try:
            Deployer(self._state, self._account).destroy().wait()
        except CloudError as error:
            raise AcceptanceError(str(error)) from error

    def close(self) -> None:
        cloud.down(self._state)
