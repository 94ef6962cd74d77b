"""Readers of S3 keys and of batches."""

from __future__ import annotations

import time
from pathlib import Path

from growth import Reader, repeated
from loupe.classifier import Classifier
from loupe.errors import Problem
from loupe.service import Service
from loupe.sources.s3 import S3Location, S3Object, S3Rules

RULES = S3Rules((S3Location("photos", "hair/"),))
CLASSIFIER = Classifier.load(Path(__file__).parents[2] / "models" / "hair-type")


def _batch(items: list[bytes]) -> None:
    """Every item is broken, so what is left is the batch's own work."""
    Service(CLASSIFIER).classify_many(items, deadline=time.monotonic() + 60)


READERS = (
    Reader(
        "S3 key",
        ("loupe.sources.s3:S3Rules.check",),
        lambda key: RULES.check(S3Object("photos", key)),
        {
            name: repeated(part, "hair/")
            for name, part in (
                ("slashes", "/"),
                ("dots", "."),
                ("parents", "../"),
                ("letters", "a"),
                ("other", "hair/"),
            )
        },
        1.0,
        (Problem,),
    ),
    Reader(
        "batch",
        ("loupe.service:Service.classify_many", "loupe.batch:Batch.run"),
        _batch,
        {
            "empty items": lambda size: [b""] * (size // 1024),
            "items of no format": lambda size: [b"x" * 1024] * (size // 1024),
            "one item": lambda size: [b"x" * size],
        },
        2.0,
        (),
        largest=256 * 1024,
    ),
)
