"""Entry point of the shadow function: runs the challenger of a shadow test on samples. INIT loads the challenger."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

# As in handler.py: before the project's modules.
import numpy  # noqa: F401, ICN001
from loupe.classifier import Classifier
from loupe.settings import Settings
from loupe.shadow.comparison import Comparer
from loupe.shadow.objects import sample_reader
from loupe.shadow.settings import sample_bucket

# Only `loupe.log` and, for metrics, `loupe.telemetry` write to the log: libraries repeat what a caller sent.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
HERE = Path(__file__).resolve().parent
SETTINGS = Settings.from_environment(
    os.environ, HERE / "models" if (HERE / "models").is_dir() else HERE.parent / "models"
)
COMPARER = Comparer(
    Classifier.load(SETTINGS.models_dir / SETTINGS.model, SETTINGS.limits, SETTINGS.threads),
    SETTINGS.environment,
    sample_reader(sample_bucket(os.environ), SETTINGS.limits.max_bytes),
)


def handler(event: Any, _context: Any) -> None:
    """Compare one sample. The invocation is asynchronous: its result is not returned to a caller."""
    COMPARER.run(event)
