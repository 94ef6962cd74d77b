"""Classify on upload: one result for each object, while execution environments are killed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bulk_jobs import Bulk, photo

from localcloud.processes import wait_until

if TYPE_CHECKING:
    from deployment import Deployed

# LOUPE_TEST_ARRIVALS=1000 is the whole size.
OBJECTS = int(os.environ.get("LOUPE_TEST_ARRIVALS", "100"))
# Deployed: six times the function's timeout, after which the records of a killed environment come back.
VISIBILITY_SECONDS = 30


def test_every_arrival_has_one_result_while_environments_are_killed(deployed: Deployed) -> None:
    bulk, sqs = Bulk(deployed), deployed.client("sqs")
    (queue,) = (url for url in sqs.list_queues()["QueueUrls"] if "ArrivalsQueue" in url)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: bulk.put(f"inputs/arrivals/{number}.jpg", photo(number)), range(OBJECTS)))

    def results() -> int:
        pages = bulk.s3.get_paginator("list_objects_v2").paginate(Bucket=bulk.bucket, Prefix="uploads/")
        return sum(len(page.get("Contents", ())) for page in pages)

    assert wait_until(lambda: results() > 0, 60, interval=0.2)
    bulk.kill_environment()
    assert wait_until(lambda: results() >= OBJECTS, 120, interval=0.5), results()
    assert results() == OBJECTS
