"""Entry points of the release functions: CodeDeploy's lifecycle hooks, and synthetic traffic. They load no model."""

from __future__ import annotations

import logging
import os
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from loupe.release.after import check_alias
from loupe.release.before import check_version
from loupe.release.hook import Hook
from loupe.release.invoke import CLIENT_CONFIG
from loupe.release.log import ReleaseLog
from loupe.release.settings import ReleaseSettings
from loupe.release.synthetic import send, shifting_to

if TYPE_CHECKING:
    from loupe.lambda_context import Context

# Only `loupe.release.log` writes to the log.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
HERE = Path(__file__).resolve().parent
SETTINGS = ReleaseSettings.from_environment(
    os.environ, HERE / "models" if (HERE / "models").is_dir() else HERE.parent / "models"
)
LOG = ReleaseLog(SETTINGS.environment, SETTINGS.version)
# Typed by the protocols of `loupe.release`, which in-memory fakes have, too.
LAMBDA: Any = boto3.client("lambda", config=CLIENT_CONFIG)
CODEDEPLOY: Any = boto3.client("codedeploy")
# Of a round of synthetic traffic, before the next one.
ROUND_SECONDS = 45.0


def before_traffic(event: Any, context: Context) -> dict[str, Any]:
    """Check the new version by its number; CodeDeploy's ``BeforeAllowTraffic``."""
    note = partial(LOG.write, "INFO")
    check = partial(check_version, SETTINGS, LAMBDA, note=note)
    return Hook("BeforeAllowTraffic", CODEDEPLOY, check, LOG).run(event, context)


def after_traffic(event: Any, context: Context) -> dict[str, Any]:
    """Check the alias; CodeDeploy's ``AfterAllowTraffic``."""
    note = partial(LOG.write, "INFO")
    check = partial(check_alias, SETTINGS, LAMBDA, note=note)
    return Hook("AfterAllowTraffic", CODEDEPLOY, check, LOG).run(event, context)


def synthetic_traffic(_event: Any, _context: Context) -> dict[str, Any]:
    """Send golden cases to the version that the alias shifts to; nothing while it does not shift."""
    version = shifting_to(LAMBDA, SETTINGS.function, SETTINGS.alias)
    if version is None:
        return {"version": None, "requests": 0, "findings": []}
    traffic = send(SETTINGS, LAMBDA, ROUND_SECONDS, version)
    log = ReleaseLog(SETTINGS.environment, version)
    for finding in traffic.findings:
        log.write("ERROR", "finding", event="synthetic", finding=finding)
    log.synthetic(traffic.requests, len(traffic.findings))
    return traffic._asdict() | {"findings": list(traffic.findings)}
