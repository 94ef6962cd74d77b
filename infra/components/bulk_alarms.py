"""Alarms and dashboard graphs of bulk jobs."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from infra.components.dashboard import DashboardSection, graph
from infra.components.monitoring import Monitoring

# An object that waits longer has met failures: the queue's records are taken at once.
OLDEST_SECONDS = 900


def add_bulk_alarms(
    monitoring: Monitoring, function: lambda_.IFunction, jobs: lambda_.IFunction, state_machine_arn: str
) -> None:
    """Add alarms on failed jobs and on both functions."""
    period = monitoring.period
    monitoring.add_alarm(
        "BulkJobsFailed",
        _executions(monitoring, state_machine_arn, "ExecutionsFailed"),
        1,
        "A bulk job failed: a batch failed for good, or too many images did. GET /v1/jobs/{id} says which; redrive a "
        "failed job after its cause is gone.",
        datapoints=1,
    )
    monitoring.add_alarm(
        "BulkFunctionErrorRate",
        monitoring.rate(function.metric_errors(period=period), function.metric_invocations(period=period)),
        monitoring.settings.function_error_rate,
        "Batches crash or time out, and are repeated. Look for ERROR and 'Task timed out' in the bulk function's log; "
        "lower bulk.batch_items, or raise its memory or timeout.",
    )
    monitoring.add_alarm(
        "JobsFunctionErrors",
        jobs.metric_errors(period=period),
        1,
        "The jobs function crashes: jobs are not started, shown or summed up. Look for ERROR in its log; roll back.",
        datapoints=1,
    )


def add_arrivals_alarms(monitoring: Monitoring, queue: sqs.IQueue, dead_letters: sqs.IQueue) -> None:
    """Add alarms on uploaded objects that wait, and on those that failed too often."""
    period = monitoring.period
    monitoring.add_alarm(
        "ArrivalsAge",
        queue.metric_approximate_age_of_oldest_message(period=period),
        OLDEST_SECONDS,
        "Uploaded objects wait to be classified. Raise bulk.on_upload.max_concurrency, or look at the bulk function's "
        "errors.",
    )
    monitoring.add_alarm(
        "ArrivalsDeadLetters",
        dead_letters.metric_approximate_number_of_messages_visible(period=period, statistic="Maximum"),
        1,
        "Uploaded objects could not be classified. Look at the bulk function's log, then redrive the dead-letter "
        "queue: aws sqs start-message-move-task.",
    )


def add_bulk_graphs(
    monitoring: Monitoring, function: lambda_.IFunction, state_machine_arn: str, queue: sqs.IQueue | None
) -> None:
    """Add the row: jobs, batches, and the queue of uploads if there is one."""
    period = monitoring.period
    names = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsAborted")
    graphs = [
        graph(
            "Jobs",
            [
                # Only here: an alarm on a metric with a label is another kind of alarm for CloudFormation.
                _executions(monitoring, state_machine_arn, name).with_(label=name.removeprefix("Executions").lower())
                for name in names
            ],
        ),
        graph(
            "Batches, and ms of one",
            [
                function.metric_invocations(period=period, label="batches"),
                function.metric_errors(period=period, label="errors"),
            ],
            right=[function.metric_duration(period=period, statistic="Average", label="ms of a batch")],
        ),
    ]
    if queue is not None:
        graphs.append(
            graph(
                "Uploads that wait, and s of the oldest",
                [queue.metric_approximate_number_of_messages_visible(period=period, label="uploads")],
                right=[queue.metric_approximate_age_of_oldest_message(period=period, label="s of the oldest")],
            )
        )
    monitoring.add_graphs(DashboardSection.jobs, *graphs)


def _executions(monitoring: Monitoring, state_machine_arn: str, name: str) -> cloudwatch.Metric:
    """Return a metric of jobs: children of a Distributed Map count under a separate state machine ARN.

    Step Functions developer guide, 'Monitoring Step Functions metrics using Amazon CloudWatch'.
    """
    return cloudwatch.Metric(
        namespace="AWS/States",
        metric_name=name,
        dimensions_map={"StateMachineArn": state_machine_arn},
        statistic="Sum",
        period=monitoring.period,
    )
