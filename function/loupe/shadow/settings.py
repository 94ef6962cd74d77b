"""Settings of both sides of a shadow test: the classifier function that samples, the shadow function that compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loupe.card import NAME_PATTERN
from loupe.variables import SettingsError, Variables

if TYPE_CHECKING:
    from collections.abc import Mapping


class ShadowSettings(NamedTuple):
    """Sampling settings of the classifier function.

    Attributes
    ----------
    function_arn
        Alias of the shadow function.
    challenger
        Name of its model, for metrics.
    share
        Of the images that the champion classifies, above 0 and at most 1.
    bucket
        For images above the size of an event. Without one, the challenger takes the champion's pixels.
    lambda_endpoint, s3_endpoint
        Base URLs of both services.
    """

    function_arn: str
    challenger: str
    share: float
    bucket: str
    lambda_endpoint: str
    s3_endpoint: str

    @property
    def region(self) -> str:
        return self.function_arn.split(":")[3]

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> ShadowSettings:
        """Parse the variables.

        Raises
        ------
        loupe.variables.SettingsError
        """
        read = Variables(variables)
        arn = read.arn("LOUPE_SHADOW_FUNCTION_ARN", "lambda")
        challenger = read.text("LOUPE_SHADOW_CHALLENGER", "")
        if not NAME_PATTERN.fullmatch(challenger):
            raise SettingsError(f"LOUPE_SHADOW_CHALLENGER is {challenger!r} but must be the name of a model.")
        bucket = read.bucket("LOUPE_SHADOW_BUCKET")
        _, partition, _, region, *_ = arn.split(":")
        # AWS general reference, 'Service endpoints'; the variables are those of the SDKs.
        suffix = f"{region}.{'amazonaws.com.cn' if partition == 'aws-cn' else 'amazonaws.com'}"
        local = read.text("AWS_ENDPOINT_URL", "")
        s3_local = read.text("AWS_ENDPOINT_URL_S3", local)
        return cls(
            function_arn=arn,
            challenger=challenger,
            # A ten-thousandth is the smallest share that the settings accept.
            share=read.number("LOUPE_SHADOW_SHARE", 0.0001, 1.0),
            bucket=bucket,
            lambda_endpoint=read.text("AWS_ENDPOINT_URL_LAMBDA", local) or f"https://lambda.{suffix}",
            s3_endpoint=f"{s3_local}/{bucket}" if s3_local else f"https://{bucket}.s3.{suffix}",
        )


def sample_bucket(variables: Mapping[str, str]) -> str:
    """Return the bucket from which the shadow function reads large images; empty if it gets pixels."""
    return Variables(variables).bucket("LOUPE_SHADOW_BUCKET")
