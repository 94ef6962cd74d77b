"""The real CDK command line against the emulated AWS: synth, bootstrap, deploy, destroy."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.commands import Command
from localcloud.errors import CloudError
from localcloud.settings import ENVIRONMENT
from localcloud.state import PROJECT, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.aws import Account

CDK = PROJECT / "node_modules" / ".bin" / "cdk"


@dataclass(frozen=True)
class Deployer:
    """Runs the CDK for one local cloud; every method starts a program and returns it running."""

    state: State
    account: Account

    def synth(self, settings: Mapping[str, Any]) -> Command:
        """Write the cloud assembly of environment ``local``, its settings merged with the given ones."""
        context = ["-c", f"env={ENVIRONMENT}", "-c", f"settings={json.dumps(settings)}"]
        context += ["-c", f"pins={self.state.pins}"]
        return self._cdk(
            "synth",
            ["synth", "--quiet", "--output", str(self.state.assembly), *context],
            PROJECT,
            "The stack was not synthesized.",
        )

    def bootstrap(self) -> Command:
        target = f"aws://{self.account.number}/{self.account.region}"
        # Away from cdk.json: with an app at hand the CLI would synthesize it first.
        return self._cdk("bootstrap", ["bootstrap", target], self.state.root, "The account was not bootstrapped.")

    def deploy(self) -> Command:
        # Without a change set, which would only poll the emulator twice.
        options = ["--all", "--require-approval", "never", "--method", "direct", "--progress", "events"]
        outputs = ["--outputs-file", str(self._outputs)]
        return self._cdk(
            "deploy",
            ["deploy", "--app", str(self.state.assembly), *options, *outputs],
            self.state.root,
            "The stack was not deployed.",
        )

    def destroy(self) -> Command:
        return self._cdk(
            "destroy",
            ["destroy", "--app", str(self.state.assembly), "--all", "--force"],
            self.state.root,
            "The stack was not destroyed.",
        )

    def outputs(self) -> dict[str, str]:
        """Outputs of the deployed stack that has a URL, and its name as ``Stack``."""
        stacks: dict[str, dict[str, str]] = json.loads(self._outputs.read_text(encoding="utf-8"))
        for name, outputs in stacks.items():
            if "Url" in outputs:
                return {**outputs, "Stack": name}
        raise CloudError(f"No stack of {sorted(stacks)} has an output named Url.", self._outputs)

    @property
    def _outputs(self) -> Path:
        return self.state.root / "outputs.json"

    def _cdk(self, name: str, arguments: list[str], cwd: Path, failure: str) -> Command:
        return Command(
            [str(CDK), *arguments, "--no-notices", "--no-color"],
            self.environment(),
            cwd,
            self.state.logs / f"{name}.log",
            failure,
        )

    def environment(self) -> dict[str, str]:
        """Variables of the CDK command line: those of the local account, with this environment's Node."""
        programs = Path(sys.executable).parent
        variables = self.account.environment()
        variables["PATH"] = os.pathsep.join((str(programs), variables.get("PATH", os.defpath)))
        if (programs / "node").exists():
            variables["JSII_NODE"] = str(programs / "node")
        # Below the project: a service account may have no home folder that can be written.
        variables["JSII_RUNTIME_PACKAGE_CACHE_ROOT"] = str(PROJECT / ".local" / "cache" / "jsii")
        variables["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20"
        variables["JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION"] = "1"
        variables["CDK_DISABLE_CLI_TELEMETRY"] = "true"
        return variables


def command_line() -> Path:
    """The CDK CLI that package.json pins.

    Raises
    ------
    CloudError
        If set-up has not installed it.
    """
    if not CDK.exists():
        raise CloudError(f"The CDK command line is not at {CDK}: run `make setup`.")
    return CDK
