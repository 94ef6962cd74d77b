"""A CodeDeploy lifecycle hook: run a check, and report its outcome even if the check fails."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from loupe.log import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loupe.lambda_context import Context
    from loupe.release.log import ReleaseLog

# Reserved for the report, in seconds: CodeDeploy waits an hour for a missing report.
REPORT_SECONDS = 20.0


class CodeDeploy(Protocol):
    """The call of boto3's client that is used."""

    def put_lifecycle_event_hook_execution_status(self, **arguments: Any) -> Mapping[str, Any]: ...


class Hook:
    """Runs a check in time for the report.

    Parameters
    ----------
    name
        The lifecycle event, for the log.
    check
        Takes the seconds that it may use and returns findings; it may raise anything.
    """

    def __init__(self, name: str, codedeploy: CodeDeploy, check: Callable[[float], list[str]], log: ReleaseLog) -> None:
        self._name, self._codedeploy, self._check, self._log = name, codedeploy, check, log

    def run(self, event: Any, context: Context) -> dict[str, Any]:
        """Check, report ``Succeeded`` or ``Failed``, and return the same with the findings.

        Without the ids of a deployment, as a person invokes it, nothing is reported to CodeDeploy.
        """
        findings = self._findings(context.get_remaining_time_in_millis() / 1e3 - REPORT_SECONDS)
        status = "Failed" if findings else "Succeeded"
        for finding in findings:
            self._log.write("ERROR", "finding", event=self._name, finding=finding)
        self._log.write("ERROR" if findings else "INFO", "hook", event=self._name, status=status)
        ids = event if isinstance(event, dict) else {}
        if "DeploymentId" in ids:
            self._codedeploy.put_lifecycle_event_hook_execution_status(
                deploymentId=ids["DeploymentId"],
                lifecycleEventHookExecutionId=ids["LifecycleEventHookExecutionId"],
                status=status,
            )
        return {"status": status, "findings": findings}

    def _findings(self, seconds: float) -> list[str]:
        """Return the check's findings; one that does not end in time is left behind, one that raises is a finding."""
        outcome: list[list[str]] = []

        def work() -> None:
            try:
                outcome.append(self._check(seconds))
            except Exception as error:
                self._log.write("ERROR", "crash", event=self._name, exception=trace(error))
                outcome.append([f"{self._name}: the check itself failed ({type(error).__name__}); its log has more."])

        thread = threading.Thread(target=work, name=self._name, daemon=True)
        thread.start()
        thread.join(max(0.0, seconds))
        return outcome[0] if outcome else [f"{self._name}: the check did not end within {seconds:.0f} s."]
