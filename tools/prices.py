"""AWS list prices, each with its unit and source: the one table that the planner and the benchmarks read.

US East (N. Virginia), US dollars, on demand, before taxes, discounts and the Lambda free tier. Other regions differ by
up to about 40 %; the price pages say how much. It imports nothing of the CDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal, TypeAlias

from infra import bulk_rates

Architecture: TypeAlias = Literal["x86_64", "arm64"]

REGION = "us-east-1"
AS_OF = "2026-09"
_OFFER = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws"
_LAMBDA = f"{_OFFER}/AWSLambda/current/us-east-1/index.json"
_LAMBDA_PAGE = "https://aws.amazon.com/lambda/pricing/"
_TRANSFER = f"{_OFFER}/AWSDataTransfer/current/index.json"
_SAGEMAKER = f"{_OFFER}/AmazonSageMaker/current/us-east-1/index.json"
_REST_API = "https://aws.amazon.com/api-gateway/pricing/"
_LOGS = "https://aws.amazon.com/cloudwatch/pricing/"
_WAF = "https://aws.amazon.com/waf/pricing/"
_XRAY = "https://aws.amazon.com/xray/pricing/"
_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_KMS = "https://aws.amazon.com/kms/pricing/"
_STATES = "https://aws.amazon.com/step-functions/pricing/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_SECRETS = "https://aws.amazon.com/secrets-manager/pricing/"
# When the prices of monitoring, keys and secrets were read.
_LATER = "2026-11"

SECONDS_A_MONTH = 730 * 3600
MIB_A_GB = 1024  # Lambda's GB is 1,024 MB of its memory setting.


@dataclass(frozen=True)
class Price:
    """What a unit costs, by monthly volume.

    Attributes
    ----------
    tiers
        Upper end of a tier in units a month and the price of a unit in it, from the lowest tier up; the last is
        endless.
    as_of
        Month in which the price was read from its source.
    """

    name: str
    unit: str
    tiers: tuple[tuple[float, float], ...]
    source: str
    as_of: str = AS_OF

    @property
    def first(self) -> float:
        """Price of a unit in the lowest tier that costs anything."""
        return next(price for _, price in self.tiers if price)

    def cost(self, quantity: float) -> float:
        """Return US dollars for a month's quantity, each part of it at its own tier's price."""
        if quantity < 0:
            raise ValueError(f"{self.name}: a quantity must not be negative (it is {quantity})")
        total, begin = 0.0, 0.0
        for end, price in self.tiers:
            total += max(0.0, min(quantity, end) - begin) * price
            begin = end
        return total


def _flat(name: str, unit: str, price: float, source: str, as_of: str = AS_OF) -> Price:
    return Price(name, unit, ((inf, price),), source, as_of)


LAMBDA_REQUESTS = _flat("Lambda requests", "request", bulk_rates.LAMBDA_REQUEST, _LAMBDA)
# Tiers by the account's sum for one architecture.
LAMBDA_DURATION: Mapping[Architecture, Price] = {
    "x86_64": Price(
        "Lambda duration, x86",
        "GB-second",
        ((6e9, bulk_rates.LAMBDA_GB_SECOND["x86_64"]), (15e9, 0.0000150000), (inf, 0.0000133334)),
        _LAMBDA,
    ),
    "arm64": Price(
        "Lambda duration, arm",
        "GB-second",
        ((7.5e9, bulk_rates.LAMBDA_GB_SECOND["arm64"]), (18.75e9, 0.0000120001), (inf, 0.0000106667)),
        _LAMBDA,
    ),
}
# Charged for every provisioned environment, used or not.
PROVISIONED_CONCURRENCY: Mapping[Architecture, Price] = {
    "x86_64": _flat("Provisioned concurrency, x86", "GB-second", 0.0000041667, _LAMBDA),
    "arm64": _flat("Provisioned concurrency, arm", "GB-second", 0.0000033334, _LAMBDA),
}
# In place of LAMBDA_DURATION for what runs in a provisioned environment.
PROVISIONED_DURATION: Mapping[Architecture, Price] = {
    "x86_64": _flat("Provisioned duration, x86", "GB-second", 0.0000097222, _LAMBDA),
    "arm64": _flat("Provisioned duration, arm", "GB-second", 0.0000077778, _LAMBDA),
}
# Of x86; both are by the memory setting. A snapshot is charged for as long as its version exists, three hours at least.
SNAP_START_CACHE = _flat("SnapStart, cached snapshots", "GB-second", 0.0000015046, _LAMBDA_PAGE, _LATER)
SNAP_START_RESTORE = _flat("SnapStart, restores", "GB", 0.0001397998, _LAMBDA_PAGE, _LATER)
REST_API_REQUESTS = Price(
    "API Gateway REST requests",
    "request",
    ((333e6, bulk_rates.REST_API_REQUEST), (1_000e6, 2.80e-6), (20_000e6, 2.38e-6), (inf, 1.51e-6)),
    _REST_API,
)
# Lambda's own logs have had tiers since 2025; the access log is charged at the first of them.
LAMBDA_LOGS = Price(
    "CloudWatch Logs, of Lambda",
    "GB",
    ((10 * 1024, 0.50), (30 * 1024, 0.25), (50 * 1024, 0.10), (inf, 0.05)),
    _LOGS,
)
ACCESS_LOGS = _flat("CloudWatch Logs, access log", "GB", 0.50, _LOGS)
# The first 100 GB a month are free for an account, all services and regions together.
DATA_OUT = Price(
    "Data transfer out to the internet",
    "GB",
    ((100, 0.0), (10 * 1024, 0.09), (50 * 1024, 0.085), (150 * 1024, 0.07), (inf, 0.05)),
    _TRANSFER,
)
# On demand. A read unit is one consistent read of up to 4 KB or two eventually consistent ones, a write unit 1 KB.
DYNAMODB_READS = _flat("DynamoDB reads, on demand", "read unit", 0.125e-6, _DYNAMODB, _LATER)
DYNAMODB_WRITES = _flat("DynamoDB writes, on demand", "write unit", 0.625e-6, _DYNAMODB, _LATER)
WAF_WEB_ACL = _flat("WAF web ACL", "month", 5.00, _WAF)
WAF_RULES = _flat("WAF rules", "rule and month", 1.00, _WAF)
WAF_REQUESTS = _flat("WAF requests", "request", 0.60e-6, _WAF)
# A metric is a name with one combination of dimension values that had data in the month.
CUSTOM_METRICS = Price(
    "CloudWatch custom metrics",
    "metric and month",
    ((10_000, 0.30), (250_000, 0.10), (1_000_000, 0.05), (inf, 0.02)),
    _LOGS,
    _LATER,
)
# For each metric that an alarm watches; of high resolution with a period below a minute.
ALARM_METRICS = _flat("CloudWatch alarms", "metric and month", 0.10, _LOGS, _LATER)
ALARM_METRICS_HIGH_RESOLUTION = _flat("CloudWatch alarms, high resolution", "metric and month", 0.30, _LOGS, _LATER)
COMPOSITE_ALARMS = _flat("CloudWatch composite alarms", "alarm and month", 0.50, _LOGS, _LATER)
DASHBOARDS = _flat("CloudWatch dashboard", "dashboard and month", 3.00, _LOGS, _LATER)
# Recorded; the first 100,000 a month are free for an account, and left out here.
XRAY_TRACES = _flat("X-Ray traces", "trace", 5.00e-6, _XRAY, _LATER)
# A transition for each state that an execution enters, and for each child execution that a Distributed Map starts.
STATE_TRANSITIONS = _flat(
    "Step Functions transitions, Standard", "transition", bulk_rates.STATE_TRANSITION, _STATES, _LATER
)
S3_GETS = _flat("S3 GET requests, Standard", "request", bulk_rates.S3_GET, _S3, _LATER)
S3_PUTS = _flat("S3 PUT and LIST requests, Standard", "request", bulk_rates.S3_PUT, _S3, _LATER)
KMS_REQUESTS = _flat("KMS requests", "request", bulk_rates.KMS_REQUEST, _KMS, _LATER)
KMS_KEYS = _flat("KMS keys", "key and month", 1.00, _KMS, _LATER)
SECRETS = _flat("Secrets Manager, API keys", "secret and month", 0.40, _SECRETS, _LATER)
# Sold in steps of 1 GB of memory, each at the same price for a GB and second (3 GB: $0.00006 a second).
SAGEMAKER_SERVERLESS = _flat("SageMaker Serverless Inference", "GB-second", 0.0000200, _SAGEMAKER)
SAGEMAKER_DATA = _flat("SageMaker endpoint data, in and out", "GB", 0.016, _SAGEMAKER)

TABLE: tuple[Price, ...] = (
    LAMBDA_REQUESTS,
    *LAMBDA_DURATION.values(),
    *PROVISIONED_CONCURRENCY.values(),
    *PROVISIONED_DURATION.values(),
    REST_API_REQUESTS,
    LAMBDA_LOGS,
    ACCESS_LOGS,
    DATA_OUT,
    DYNAMODB_READS,
    DYNAMODB_WRITES,
    WAF_WEB_ACL,
    WAF_RULES,
    WAF_REQUESTS,
    CUSTOM_METRICS,
    ALARM_METRICS,
    ALARM_METRICS_HIGH_RESOLUTION,
    COMPOSITE_ALARMS,
    DASHBOARDS,
    XRAY_TRACES,
    STATE_TRANSITIONS,
    S3_GETS,
    S3_PUTS,
    KMS_REQUESTS,
    KMS_KEYS,
    SECRETS,
    SAGEMAKER_SERVERLESS,
    SAGEMAKER_DATA,
)


def gb(memory_mib: float) -> float:
    """Return a memory setting in the GB that Lambda charges for."""
    return memory_mib / MIB_A_GB
