"""The state machine of a bulk job in Amazon States Language: a Distributed Map for each kind of source, then a summary.

Written out rather than made of the CDK's states: bucket and key come with the execution's input, for which the CDK
would grant the role every bucket of the account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.settings.bulk import BulkSettings

# Of the 256 KiB that a child's input has: the rest is for BatchInput, the job.
MAX_BATCH_BYTES = 200 * 1024
TOO_MANY_FAILED = "TooManyFailedImages"
READERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "jsonl": (
        "JsonLines",
        {
            "Resource": "arn:{partition}:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket.$": "$.job.source.bucket", "Key.$": "$.job.source.key"},
        },
    ),
    "csv": (
        "Csv",
        {
            "Resource": "arn:{partition}:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Parameters": {"Bucket.$": "$.job.source.bucket", "Key.$": "$.job.source.key"},
        },
    ),
    "prefix": (
        "Prefix",
        {
            "Resource": "arn:{partition}:states:::s3:listObjectsV2",
            "Parameters": {"Bucket.$": "$.job.source.bucket", "Prefix.$": "$.job.source.prefix"},
        },
    ),
}
# Concurrency of other jobs may be in use for long; each attempt costs a transition.
_THROTTLED = {
    "ErrorEquals": ["Lambda.TooManyRequestsException"],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 1000,
    "JitterStrategy": "FULL",
}
# A function without invocations for weeks is inactive; its first invocations fail until it is active again (Lambda
# developer guide, 'Lambda function states'; Invoke, CodeArtifactUserPendingException). That took 40 to 106 s in issue
# 801 of aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws: these attempts last for 9
# minutes, and no jitter brings them forward.
_INACTIVE: Mapping[str, Any] = {
    "ErrorEquals": [
        "Lambda.CodeArtifactUserPendingException",
        "Lambda.ResourceNotReadyException",
        "Lambda.ResourceConflictException",
    ],
    "IntervalSeconds": 5,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 12,
}
# What another attempt can pass: faults of Lambda, an execution environment that ended, a batch that ran out of time.
_FAULTS: Mapping[str, Any] = {
    "ErrorEquals": [
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.Unknown",
        "States.Timeout",
        "Sandbox.Timedout",
        "Runtime.ExitError",
        # Lambda's name for an environment that needed more than its memory, once a Runtime.ExitError, too.
        "Runtime.OutOfMemory",
        "BatchUnfinished",
    ],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 6,
    "JitterStrategy": "FULL",
}
RETRY: list[Mapping[str, Any]] = [_THROTTLED, _INACTIVE, _FAULTS]
# A summary reads and writes S3, which may throttle it for a while.
SUMMARY_RETRY: list[Mapping[str, Any]] = [
    _THROTTLED,
    _INACTIVE,
    {**_FAULTS, "ErrorEquals": [*_FAULTS["ErrorEquals"], "JobsUnavailable"]},
]


def definition(
    *, settings: BulkSettings, partition: str, results_bucket: str, jobs_function: str, summary_seconds: int
) -> dict[str, Any]:
    """Return the definition.

    Parameters
    ----------
    jobs_function
        ARN of the function that sums up a job.
    summary_seconds
        Its timeout.
    """
    choices = [
        {"Variable": "$.job.source.type", "StringEquals": kind, "Next": name} for kind, (name, _) in READERS.items()
    ]
    maps = {name: _map(name, reader, settings, partition, results_bucket) for name, reader in READERS.values()}
    return {
        "Comment": "Classifies the images of a manifest or a prefix in S3, in batches",
        "StartAt": "Source",
        "States": {
            "Source": {"Type": "Choice", "Choices": choices, "Default": "UnknownSource"},
            "UnknownSource": {
                "Type": "Fail",
                "Error": "UnknownSource",
                "Cause": "job.source.type must be jsonl, csv or prefix: jobs are started by POST /v1/jobs.",
            },
            **maps,
            "Summarize": {
                "Type": "Task",
                "Resource": f"arn:{partition}:states:::lambda:invoke",
                "Parameters": {
                    "FunctionName": jobs_function,
                    "Payload": {
                        "action": "summarize",
                        "job.$": "$.job",
                        "map.$": "$.map",
                        "started.$": "$$.Execution.StartTime",
                    },
                },
                "ResultSelector": {"summary.$": "$.Payload"},
                "TimeoutSeconds": summary_seconds + 60,
                "Retry": SUMMARY_RETRY,
                "Next": "Tolerance",
            },
            "Tolerance": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.summary.status", "StringEquals": "too_many_failed", "Next": "TooManyFailed"}
                ],
                "Default": "Done",
            },
            "TooManyFailed": {
                "Type": "Fail",
                "Error": TOO_MANY_FAILED,
                "Cause": "More images failed than tolerated_failure_percentage allows: see the job's summary.json.",
            },
            "Done": {"Type": "Succeed"},
        },
    }


def _map(
    name: str, reader: Mapping[str, Any], settings: BulkSettings, partition: str, results_bucket: str
) -> dict[str, Any]:
    return {
        "Type": "Map",
        "Label": name,
        "MaxConcurrencyPath": "$.job.max_concurrency",
        "ItemReader": {**reader, "Resource": reader["Resource"].format(partition=partition)},
        "ItemSelector": {"index.$": "$$.Map.Item.Index", "item.$": "$$.Map.Item.Value"},
        "ItemBatcher": {
            "MaxItemsPerBatch": settings.batch_items,
            "MaxInputBytesPerBatch": MAX_BATCH_BYTES,
            "BatchInput": {"job.$": "$.job"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": f"{name}Batch",
            "States": {
                f"{name}Batch": {
                    "Type": "Task",
                    "Resource": f"arn:{partition}:states:::lambda:invoke",
                    "Parameters": {"FunctionName.$": "$.BatchInput.job.function", "Payload.$": "$"},
                    "OutputPath": "$.Payload",
                    # Above the function's own timeout, which is what ends a batch.
                    "TimeoutSeconds": settings.timeout_seconds + 60,
                    "Retry": RETRY,
                    "End": True,
                }
            },
        },
        "ResultWriter": {
            "Resource": f"arn:{partition}:states:::s3:putObject",
            # What the batches return, a line each: by default, their inputs would be repeated.
            "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
            "Parameters": {
                "Bucket": results_bucket,
                "Prefix.$": "States.Format('jobs/{}/map', $$.Execution.Name)",
            },
        },
        "ResultPath": "$.map",
        "Next": "Summarize",
    }
