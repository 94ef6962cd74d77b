"""CodeDeploy's PutLifecycleEventHookExecutionStatus, as far as a hook calls it; the release driver reads the reports.

It stands in for an API that MiniStack does not have. IAM is not enforced here: tests/infra holds the hooks' policies to
the action and the deployment group.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET = "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus"
PATH = "/codedeploy/hooks"
# "Only Succeeded and Failed can be passed successfully in your API call" (CodeDeploy API reference).
STATUSES = ("Succeeded", "Failed")


class ReportError(Exception):
    """A rejected report; ``code`` is CodeDeploy's name of the error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class HookReports:
    """Executions of hooks that a driver has announced, and what they reported; safe to use from several threads."""

    def __init__(self) -> None:
        self._expected: dict[str, str] = {}
        self._statuses: dict[str, str] = {}
        self._lock = threading.Lock()

    def expect(self, deployment: str, execution: str) -> None:
        """Announce the execution of a hook."""
        with self._lock:
            self._expected[execution] = deployment

    def put(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Take a report.

        Raises
        ------
        ReportError
            As CodeDeploy rejects it.
        """
        execution = str(request.get("lifecycleEventHookExecutionId", ""))
        with self._lock:
            if request.get("deploymentId") not in self._expected.values():
                raise ReportError("DeploymentDoesNotExistException", "The deployment does not exist.")
            if self._expected.get(execution) != request["deploymentId"]:
                raise ReportError("InvalidLifecycleEventHookExecutionIdException", "The hook's execution is unknown.")
            if request.get("status") not in STATUSES:
                raise ReportError("InvalidLifecycleEventHookExecutionStatusException", "The status is not valid.")
            if execution in self._statuses:
                raise ReportError("LifecycleEventAlreadyCompletedException", "The hook has reported before.")
            self._statuses[execution] = request["status"]
        return {"lifecycleEventHookExecutionId": execution}

    def status(self, execution: str) -> str | None:
        """Return the reported status of an execution, or None."""
        with self._lock:
            return self._statuses.get(execution)
