"""The function's entry point. It loads what every request needs at INIT, where Lambda provides a full CPU."""

from __future__ import annotations

import logging
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before the project's modules: imported below them, deeper in the call stack, numpy takes 30 ms longer under the Lambda
# runtime client (python -m benchmarks --only cold), probably at a boundary of CPython's chunked frame stack.
import numpy  # noqa: F401, ICN001
from loupe import IMPORT_STARTED
from loupe.classifier import Classifier
from loupe.http.app import App
from loupe.http.envelope import is_http
from loupe.service import Service
from loupe.settings import Settings
from loupe.sources import Sources
from loupe.telemetry import Telemetry

if TYPE_CHECKING:
    from loupe.lambda_context import Context
    from loupe.service import ClassificationService

# Only `loupe.telemetry` and, for a shadow test, `loupe.log` write to the log. Libraries repeat request content (header
# values, file names), which the runtime's handler would write between the JSON lines.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
HERE = Path(__file__).resolve().parent
# The models are beside this file in the container image, and beside its folder in the repository.
SETTINGS = Settings.from_environment(
    os.environ, HERE / "models" if (HERE / "models").is_dir() else HERE.parent / "models"
)
if SETTINGS.cache_bytes:
    from loupe.cache import CachedService, PredictionCache

    CACHE = PredictionCache(SETTINGS.cache_bytes)
SHADOW = None
if SETTINGS.shadow:
    from loupe.shadow.champion import Champion

    SHADOW = Champion.from_environment(os.environ, SETTINGS.environment, SETTINGS.model)


def create(model: str) -> ClassificationService:
    """Load a model; see `loupe.classifier.Classifier.load` for the exceptions."""
    classifier = Classifier.load(SETTINGS.models_dir / model, SETTINGS.limits, SETTINGS.threads)
    if SHADOW is not None and model == SETTINGS.model:
        classifier = SHADOW.sampled(classifier)
    service = Service(classifier)
    return CachedService(service, CACHE) if SETTINGS.cache_bytes else service


MODELS = None
if SETTINGS.models:
    from loupe.models import Models

    MODELS = Models(SETTINGS.models_dir, SETTINGS.models, create)
    for name in SETTINGS.models:
        if name not in SETTINGS.models_at_first_use:
            MODELS.service(name)
ASSIGNER = None
if SETTINGS.experiment and MODELS:
    from loupe.http.assignment import Assigner

    WEIGHTS = None
    if SETTINGS.experiment.parameter:
        from loupe.weights import LiveWeights, open_parameter

        WEIGHTS = LiveWeights(
            SETTINGS.experiment.weights,
            open_parameter(SETTINGS.experiment.parameter),
            interval=SETTINGS.experiment.refresh_seconds,
        )
    ASSIGNER = Assigner(SETTINGS.experiment, MODELS, WEIGHTS)
APP = App(
    MODELS.service(SETTINGS.model) if MODELS else create(SETTINGS.model),
    Sources.of(SETTINGS.url, SETTINGS.s3, SETTINGS.limits),
    Telemetry(
        SETTINGS.environment,
        SETTINGS.log_level,
        SETTINGS.metrics,
        os.environ.get("LOUPE_INITIALIZATION") or os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ),
    s3_rules=SETTINGS.s3,
    max_batch=SETTINGS.max_batch,
    cors_origins=SETTINGS.cors_origins,
    jobs=SETTINGS.jobs,
    models=MODELS,
    assigner=ASSIGNER,
    # Twice the duration of INIT, at the CPU share that the function has afterwards.
    restart_seconds=2 * (time.monotonic() - IMPORT_STARTED) / min(1.0, SETTINGS.vcpus),
)


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Handle one event: an HTTP request in API Gateway's envelope, or a direct invocation's payload."""
    serve = APP.http if is_http(event) else APP.direct
    if SHADOW is not None:
        return SHADOW.handle(serve, event, context)
    return serve(event, context)
