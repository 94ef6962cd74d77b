"""Classify on upload: one result for each object, while execution environments are killed."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bulk_jobs import Bulk, photo

from localcloud.processes import wait_until

if TYPE_CHECKING:
    from deployment import Deployed

# LOUPE_TEST_ARRIVALS=1000 is the whole size.
OBJECTS = int(os.environ.get("LOUPE_TEST_ARRIVALS", "40"))
# Deployed: six times the function's timeout, after which the records of a killed environment come back.
VISIBILITY_SECONDS = 10


def test_every_arrival_has_one_result_while_environments_are_killed(deployed: Deployed) -> None:
    bulk, sqs = Bulk(deployed), deployed.client("sqs")
    (queue,) = (url for url in sqs.list_queues()["QueueUrls"] if "ArrivalsQueue" in url)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: bulk.put(f"inputs/arrivals/{number}.jpg", photo(number)), range(OBJECTS)))

    def results() -> list[tuple[str, str]]:
        """Key and version of every result."""
        pages = bulk.s3.get_paginator("list_objects_v2").paginate(Bucket=bulk.bucket, Prefix="uploads/")
        # Beside a result lies an empty mark once its message is sent.
        names = [listed["Key"] for page in pages for listed in page.get("Contents", ()) if listed["Size"]]
        rows = [json.load(bulk.s3.get_object(Bucket=bulk.bucket, Key=name)["Body"]) for name in names]
        return [(row["key"], row["version"]) for row in rows]

    assert wait_until(lambda: len(results()) > 0, 60, interval=0.2)
    assert bulk.kill_environment()
    expected = {f"inputs/arrivals/{number}.jpg" for number in range(OBJECTS)}
    assert wait_until(lambda: {key for key, _ in results()} == expected, 150, interval=1.0)
    classified = results()
    assert len(set(classified)) == len(classified)
