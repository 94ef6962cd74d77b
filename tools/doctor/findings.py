"""Findings of checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Level(StrEnum):
    """An error stops the deployment; a warning does not."""

    ok = "ok"
    warning = "warning"
    error = "error"


@dataclass(frozen=True)
class Finding:
    """One result of one check.

    Attributes
    ----------
    check
        Name of the check, as ``--allow`` takes it.
    summary
        A sentence: what is so.
    action
        What to do; empty where nothing is to be done.
    """

    check: str
    level: Level
    summary: str
    action: str = ""


def ok(check: str, summary: str) -> Finding:
    return Finding(check, Level.ok, summary)


def warning(check: str, summary: str, action: str) -> Finding:
    return Finding(check, Level.warning, summary, action)


def error(check: str, summary: str, action: str) -> Finding:
    return Finding(check, Level.error, summary, action)


def allowing(findings: Iterable[Finding], checks: Iterable[str]) -> list[Finding]:
    """Return the findings with the errors of these checks as warnings."""
    allowed = set(checks)
    return [
        replace(finding, level=Level.warning) if finding.level is Level.error and finding.check in allowed else finding
        for finding in findings
    ]
