"""Settings of the jobs function: the ``LOUPE_*`` environment, parsed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loupe.jobs.owners import AUTH_MODES
from loupe.variables import SettingsError, Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.sources.s3 import S3Rules

ALIAS = "live"
MAX_CONCURRENCY_RANGE = (1, 10_000)
BATCH_ITEMS_RANGE = (1, 1000)


class Rates(NamedTuple):
    """Rates and prices of bulk processing, as the planner computes them at deployment.

    Attributes
    ----------
    seconds_per_image
        Seconds that one execution environment takes for an image.
    usd_per_second
        Price of a second of one busy execution environment.
    usd_per_batch
        Price of a batch apart from that: state transitions, the invocation, files written.
    usd_per_image
        Price of an image apart from that: reading it from S3.
    """

    seconds_per_image: float
    usd_per_second: float
    usd_per_batch: float
    usd_per_image: float


class JobsSettings(NamedTuple):
    """The jobs function's settings; ``models`` are all models of a deployment with several, the default first."""

    environment: str
    auth_mode: str
    state_machine_arn: str
    function_arn: str
    results_bucket: str
    max_concurrency: int
    batch_items: int
    link_seconds: int
    rates: Rates
    s3: S3Rules
    cors_origins: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> JobsSettings:
        """Parse the variables.

        Raises
        ------
        loupe.variables.SettingsError
            For the first bad value; the cold start stops there.
        """
        read = Variables(variables)
        results_bucket = read.bucket("LOUPE_BULK_RESULTS_BUCKET")
        if not results_bucket:
            raise SettingsError("LOUPE_BULK_RESULTS_BUCKET is missing.")
        return cls(
            environment=read.text("LOUPE_ENVIRONMENT", "local"),
            auth_mode=read.choice("LOUPE_AUTH_MODE", AUTH_MODES, ""),
            state_machine_arn=read.arn("LOUPE_BULK_STATE_MACHINE_ARN", "states"),
            function_arn=read.arn("LOUPE_BULK_FUNCTION_ARN", "lambda"),
            results_bucket=results_bucket,
            max_concurrency=read.integer("LOUPE_BULK_MAX_CONCURRENCY", 0, *MAX_CONCURRENCY_RANGE),
            batch_items=read.integer("LOUPE_BULK_BATCH_ITEMS", 0, *BATCH_ITEMS_RANGE),
            link_seconds=read.integer("LOUPE_BULK_LINK_SECONDS", 900, 60, 43_200),
            rates=Rates(
                seconds_per_image=read.number("LOUPE_BULK_SECONDS_PER_IMAGE", 0, 3600),
                usd_per_second=read.number("LOUPE_BULK_USD_PER_SECOND", 0, 1),
                usd_per_batch=read.number("LOUPE_BULK_USD_PER_BATCH", 0, 1),
                usd_per_image=read.number("LOUPE_BULK_USD_PER_IMAGE", 0, 1),
            ),
            s3=read.s3_rules(),
            cors_origins=read.origins("LOUPE_CORS_ORIGINS"),
            models=read.items("LOUPE_MODELS", ""),
        )
