"""Where the acceptance suite deploys to: an AWS account, or the local cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.smoke.credentials import Credentials


class AcceptanceError(RuntimeError):
    """A step failed; the message is the sentence for the transcript."""


@dataclass(frozen=True)
class Deployed:
    """Outputs of a deployment.

    Attributes
    ----------
    outputs
        Of the stack, by name.
    """

    url: str
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Released:
    """How a gradual release ended.

    Attributes
    ----------
    findings
        Of the release's checks, such as the golden case that was answered wrongly.
    """

    rolled_back: bool
    reason: str
    findings: tuple[str, ...] = ()


class Target(Protocol):
    """A place to deploy to.

    Attributes
    ----------
    name
        ``aws`` or ``local``.
    environment
        Name of the environment that is deployed; resources carry it in their names.
    limits
        What this target cannot show: a reason by capability (see `tools.acceptance.steps`).
    """

    name: str
    environment: str
    limits: Mapping[str, str]

    def versions(self) -> Mapping[str, str]:
        """Versions of programs and description of the target, for the transcript."""

    def doctor(self, settings: Mapping[str, Any]) -> str:
        """Check the account before anything is deployed; `AcceptanceError` with what is wrong."""

    def deploy(self, settings: Mapping[str, Any]) -> Deployed:
        """Deploy with these settings over the environment's; `AcceptanceError` with the log if that fails."""

    def release(self, settings: Mapping[str, Any]) -> Released:
        """Release with these settings over what is deployed; `AcceptanceError` for a failure that is no rollback."""

    def diff(self, settings: Mapping[str, Any]) -> str:
        """Return what a deployment would change; empty if nothing."""

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account."""

    def signature(self) -> Credentials:
        """Return credentials that may invoke the API in mode ``iam``."""

    def destroy(self) -> None:
        """Delete what was deployed."""

    def close(self) -> None:
        """Stop what the target started."""
