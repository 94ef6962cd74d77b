"""Run a small bulk job on the deployed copy: the smoke test's job over the golden images of the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.acceptance.target import AcceptanceError
from tools.smoke import card as cards
from tools.smoke.checks import jobs
from tools.smoke.endpoint import CheckError, Endpoint, NotApplicableError
from tools.smoke.suite import Options, Run

if TYPE_CHECKING:
    from pathlib import Path

    from tools.acceptance.suite import Context
    from tools.smoke.credentials import Credentials

_FOLDER = "inputs/acceptance/"


def run_job(context: Context, credentials: Credentials, model: Path) -> str:
    """Put the golden images and a manifest into the results bucket, and classify them by a job.

    Raises
    ------
    AcceptanceError
        If the stack has no bulk jobs, or the job does not classify every image.
    """
    bucket = context.endpoint.outputs.get("BulkBucket")
    if bucket is None:
        raise AcceptanceError("the stack has no output BulkBucket")
    card = cards.read(model)
    s3 = context.target.client("s3")
    rows = []
    for case in card.golden:
        key = f"{_FOLDER}{case.path.name}"
        s3.put_object(Bucket=bucket, Key=key, Body=case.path.read_bytes())
        rows.append(json.dumps({"key": key}) + "\n")
    manifest = f"{_FOLDER}golden.jsonl"
    s3.put_object(Bucket=bucket, Key=manifest, Body="".join(rows).encode())
    endpoint = Endpoint(context.endpoint.url, credentials)
    try:
        return jobs.completed(Run(endpoint, card, Options(job_manifest=f"s3://{bucket}/{manifest}")))
    except (CheckError, NotApplicableError) as error:
        raise AcceptanceError(str(error)) from error
    finally:
        endpoint.close()
