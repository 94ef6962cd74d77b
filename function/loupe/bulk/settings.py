"""Settings of the bulk function beyond those of every function that serves the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loupe.variables import SettingsError, Variables

if TYPE_CHECKING:
    from collections.abc import Mapping


class BulkSettings(NamedTuple):
    """Where rows go; ``topic_arn`` is the SNS topic of messages about objects that arrived ('' for none)."""

    results_bucket: str
    topic_arn: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> BulkSettings:
        """Parse the variables.

        Raises
        ------
        loupe.variables.SettingsError
        """
        read = Variables(variables)
        results_bucket = read.bucket("LOUPE_BULK_RESULTS_BUCKET")
        if not results_bucket:
            raise SettingsError("LOUPE_BULK_RESULTS_BUCKET is missing.")
        return cls(results_bucket, read.arn("LOUPE_ON_UPLOAD_TOPIC_ARN", "sns", optional=True))
