"""Entry point of the bulk function: batches of jobs, and objects that arrive in a bucket.

INIT loads the default model; another one is loaded by the first batch of a job that names it.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

# As in handler.py: before the project's modules.
import numpy  # noqa: F401, ICN001
from loupe import IMPORT_STARTED
from loupe.bulk.batch import BatchProcessor
from loupe.bulk.invocation import BulkLog, Invocations
from loupe.bulk.settings import BulkSettings
from loupe.bulk.store import ResultStore, results_client
from loupe.bulk.uploads import UploadProcessor, topic_client
from loupe.classifier import Classifier
from loupe.service import Service
from loupe.settings import Settings
from loupe.sources import Sources

if TYPE_CHECKING:
    from loupe.lambda_context import Context

# Only `loupe.log` writes to the log: libraries repeat what a caller sent.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
HERE = Path(__file__).resolve().parent
SETTINGS = Settings.from_environment(
    os.environ, HERE / "models" if (HERE / "models").is_dir() else HERE.parent / "models"
)
BULK = BulkSettings.from_environment(os.environ)


def create(model: str) -> Service:
    """Load a model; see `loupe.classifier.Classifier.load` for the exceptions."""
    return Service(Classifier.load(SETTINGS.models_dir / model, SETTINGS.limits, SETTINGS.threads))


MODELS = None
if SETTINGS.models:
    from loupe.models import Models

    MODELS = Models(SETTINGS.models_dir, SETTINGS.models, create)
SERVICE = MODELS.service(SETTINGS.model) if MODELS else create(SETTINGS.model)
SOURCES = Sources.of(SETTINGS.url, SETTINGS.s3, SETTINGS.limits)
STORE = ResultStore(BULK.results_bucket, results_client())
LOG = BulkLog(SETTINGS.environment)
INVOCATIONS = Invocations(
    BatchProcessor(SERVICE, SOURCES, STORE, LOG.batch, MODELS),
    UploadProcessor(SERVICE, SOURCES, STORE, topic_client(BULK.topic_arn), BULK.topic_arn),
    LOG,
    # Twice what INIT took, at the speed that the function has after it.
    restart_seconds=2 * (time.monotonic() - IMPORT_STARTED) / min(1.0, SETTINGS.vcpus),
)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Process one event; what is raised is retried by the state machine or by SQS."""
    return INVOCATIONS.run(event, context)
