"""The planner's estimate of a job's time against a job on the local cloud's Distributed Map."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.timing import Row, median
from infra.bulk_rates import BulkLoad
from infra.settings.bulk import BulkSettings
from localcloud.jobs import Jobs
from tools.plan.bulk import BulkJob

if TYPE_CHECKING:
    from localcloud.aws import Account

# The estimate may be off by this share.
TOLERANCE = 0.2
BATCH_ITEMS, ENVIRONMENTS = 50, 2
# Jobs of one round, of which the first starts the execution environments.
SMALL_JOBS = 4
POLL_SECONDS, JOB_SECONDS = 0.5, 300.0


def estimate_row(
    account: Account, endpoint: Mapping[str, Any], keys: Sequence[str], seconds_per_image: float, images: int
) -> Row:
    """Run jobs of one round for what a job takes beside its batches, then one of ``images`` images.

    Parameters
    ----------
    seconds_per_image
        Of one execution environment, measured without Step Functions.
    """
    s3, states = account.client("s3"), account.client("stepfunctions")
    jobs, machine = Jobs(endpoint, s3), str(endpoint["outputs"]["BulkStateMachineArn"])
    load = BulkLoad(BATCH_ITEMS, ENVIRONMENTS, BulkSettings().memory_mib, seconds_per_image)

    def seconds(count: int) -> float:
        manifest = f"inputs/bench/{uuid.uuid4().hex}.jsonl"
        rows = (json.dumps({"key": keys[index % len(keys)]}) for index in range(count))
        s3.put_object(Bucket=jobs.bucket, Key=manifest, Body="\n".join(rows).encode())
        job = jobs.start(manifest, uuid.uuid4().hex)["id"]
        return _duration(states, f"{machine.replace(':stateMachine:', ':execution:')}:{job}")

    one_round = BATCH_ITEMS * ENVIRONMENTS
    small = [seconds(one_round) for _ in range(SMALL_JOBS)][1:]
    start = start_seconds(load, one_round, median(small))
    return compared(BulkJob(images, load, start), seconds(images))


def start_seconds(load: BulkLoad, images: int, measured: float) -> float:
    """Return what a job of this many images took beside its batches, in seconds; never below 0."""
    return max(0.0, measured - BulkJob(images, load, 0.0).seconds)


def compared(job: BulkJob, measured: float) -> Row:
    """Return the row of an estimate: by which share of the measured seconds it is too long or too short."""
    figures = f"{job.seconds:.1f} s estimated / {measured:.1f} s measured"
    return Row(
        f"Bulk job of {job.images:,} images, {job.load.concurrency} execution environments",
        "deviation of the planner's estimate from a job on the local Distributed Map",
        abs(job.seconds - measured) / measured,
        TOLERANCE,
        "most",
        f"{figures}; {job.load.seconds_per_image * 1e3:.1f} ms an image, {job.start_seconds:.1f} s beside the batches",
        unit="of the measured time",
    )


def _duration(states: Any, execution: str) -> float:
    """Wait for an execution and return its seconds."""
    deadline = time.monotonic() + JOB_SECONDS
    while (description := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        if time.monotonic() > deadline:
            raise TimeoutError(execution)
        time.sleep(POLL_SECONDS)
    if description["status"] != "SUCCEEDED":
        raise RuntimeError(f"{description['status']}: {description.get('cause')}")
    elapsed: float = (description["stopDate"] - description["startDate"]).total_seconds()
    return elapsed
