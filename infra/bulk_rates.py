"""Costs of bulk jobs per image, batch and second: the jobs function estimates with these rates, and holds no price.

`tools.prices` imports these prices, the dashboard estimates with some of them, and `tools.plan.bulk` prints the whole
bill of a job. US East (N. Virginia), US dollars, list prices without free tiers. It imports nothing of the CDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["x86_64", "arm64"]
# Per GB and second; Lambda's GB is 1,024 MB of its memory setting.
LAMBDA_GB_SECOND: Mapping[Architecture, float] = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
LAMBDA_REQUEST = 0.20e-6
# The first 333 million a month.
REST_API_REQUEST = 3.50e-6
STATE_TRANSITION = 0.025e-3
S3_GET, S3_PUT = 0.0004e-3, 0.005e-3
KMS_REQUEST = 0.03e-4
# The start of the child, and its one state (Step Functions pricing, 'state transitions').
TRANSITIONS_A_BATCH = 2
# Requests for a bucket key in place of KMS; AWS says that it reduces them by up to 99 % ('S3 Bucket Keys').
BUCKET_KEY_SHARE = 0.01


@dataclass(frozen=True)
class BulkLoad:
    """How the batches of a job are processed.

    Attributes
    ----------
    seconds_per_image
        Of one execution environment.
    kms
        Whether the results bucket has a KMS key.
    kms_images
        Whether the images have a KMS key and no bucket key: a request to KMS for each.
    """

    batch_items: int
    concurrency: int
    memory_mib: int
    seconds_per_image: float
    architecture: Architecture = "x86_64"
    kms: bool = False
    kms_images: bool = False


def rates(load: BulkLoad) -> Mapping[str, str]:
    """Return the variables by which the jobs function estimates time and cost."""
    keys = KMS_REQUEST * BUCKET_KEY_SHARE if load.kms else 0.0
    figures = {
        "LOUPE_BULK_SECONDS_PER_IMAGE": load.seconds_per_image,
        "LOUPE_BULK_USD_PER_SECOND": LAMBDA_GB_SECOND[load.architecture] * load.memory_mib / 1024,
        "LOUPE_BULK_USD_PER_BATCH": TRANSITIONS_A_BATCH * STATE_TRANSITION + LAMBDA_REQUEST + S3_PUT + keys,
        "LOUPE_BULK_USD_PER_IMAGE": S3_GET + (KMS_REQUEST if load.kms_images else 0.0),
    }
    return {name: f"{value:.12f}".rstrip("0") for name, value in figures.items()}
