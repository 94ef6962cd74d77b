"""Entry point of the jobs function: HTTP routes of bulk jobs, and the summary that the state machine asks for.

It loads no model: boto3 is what its requests need.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from loupe.http.envelope import is_http
from loupe.jobs.actions import JobActions
from loupe.jobs.api import JobsApi
from loupe.jobs.engine import CLIENT_CONFIG, Engine
from loupe.jobs.settings import JobsSettings
from loupe.jobs.storage import ResultsBucket
from loupe.jobs.summarize import Summarizer, summary_client
from loupe.sources.s3_reader import connect

if TYPE_CHECKING:
    from loupe.lambda_context import Context

# Only `loupe.log` writes to the log: libraries repeat what a caller sent.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
SETTINGS = JobsSettings.from_environment(os.environ)
# Typed by the protocols of `loupe.jobs`, which in-memory fakes have, too.
S3: Any = connect(SETTINGS.s3.timeout_seconds)
LAMBDA: Any = boto3.client("lambda", config=CLIENT_CONFIG)
ENGINE = Engine(SETTINGS.state_machine_arn, boto3.client("stepfunctions", config=CLIENT_CONFIG), LAMBDA)
RESULTS = ResultsBucket(SETTINGS.results_bucket, S3, SETTINGS.link_seconds)
API = JobsApi(SETTINGS, ENGINE, JobActions(SETTINGS, ENGINE, S3, RESULTS, lambda: datetime.now(UTC)), RESULTS)
SUMMARIZER = Summarizer(SETTINGS, summary_client(), ENGINE.item_count, lambda: datetime.now(UTC))
# Of the invocation, to write a summary and what `failures.jsonl` has.
WRITE_SECONDS = 60


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Handle one event: an HTTP request in API Gateway's envelope, or ``{"action": "summarize", ...}``."""
    if is_http(event):
        return API.http(event, context)
    seconds = context.get_remaining_time_in_millis() / 1e3 - WRITE_SECONDS
    return SUMMARIZER.run(event, time.monotonic() + seconds)
