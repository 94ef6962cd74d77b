"""The region of the AWS configuration, as the CDK command line reads it."""

from __future__ import annotations

import os

import boto3


def configured_region() -> str | None:
    """Return the region that the CDK deploys to where the settings name none; None if nothing names one.

    The CDK and the AWS CLI read ``AWS_REGION`` first; boto3 reads ``AWS_DEFAULT_REGION`` and the profile only.
    """
    return os.environ.get("AWS_REGION") or boto3.Session().region_name
