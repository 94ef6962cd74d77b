"""ResultWriter: what the children of a Map Run returned, in files of one status each, and a manifest.

Source: Step Functions developer guide, 'ResultWriter (Map)'.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.redrive import redrive_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from localcloud.stepfunctions.readers import Store

# AWS names no size; small enough here that tests see more than one file.
MAX_FILE_BYTES = 8 * 1024 * 1024
FILE_OF_STATUS = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "TIMED_OUT": "FAILED",
    "ABORTED": "FAILED",
    "PENDING": "PENDING",
}


def write_results(
    map_run_arn: str, children: Iterable[Mapping[str, Any]], bucket: str, prefix: str, store: Store
) -> dict[str, str]:
    """Write the files and the manifest; return ``ResultWriterDetails``.

    Raises
    ------
    StatesError
        If the store rejects a file.
    """
    folder = "/".join(part for part in (prefix.strip("/"), map_run_arn.rsplit(":", 1)[1]) if part)
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    by_file: dict[str, list[Mapping[str, Any]]] = {name: [] for name in files}
    for child in children:
        by_file[FILE_OF_STATUS[child["status"]]].append(child)
    for name, listed in by_file.items():
        for number, body in enumerate(_files(entry(child) for child in listed)):
            key = f"{folder}/{name}_{number}.json"
            store.write(bucket, key, body)
            files[name].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": bucket, "MapRunArn": map_run_arn, "ResultFiles": files}
    store.write(bucket, f"{folder}/manifest.json", json.dumps(manifest).encode())
    return {"Bucket": bucket, "Key": f"{folder}/manifest.json"}


def entry(child: Mapping[str, Any]) -> dict[str, Any]:
    """One execution as the result files hold it: payloads are JSON in strings."""
    described: dict[str, Any] = {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
    }
    if child["status"] == "PENDING":
        return described
    status, reason = redrive_status(child)
    described |= {
        "RedriveCount": child.get("redriveCount", 0),
        "RedriveStatus": status,
        "StartDate": child["startDate"],
        "StopDate": child["stopDate"],
    }
    if reason:
        described["RedriveStatusReason"] = reason
    if child["status"] == "SUCCEEDED":
        described |= {"Output": child["output"], "OutputDetails": {"Included": True}}
    else:
        described |= {"Error": child.get("error") or "", "Cause": child.get("cause") or ""}
    return described


def _files(entries: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    texts: list[str] = []
    size = 0
    for described in entries:
        text = json.dumps(described, ensure_ascii=False)
        length = len(text.encode())
        if texts and size + length > MAX_FILE_BYTES:
            yield f"[{','.join(texts)}]".encode()
            texts, size = [], 0
        texts.append(text)
        size += length + 1
    if texts:
        yield f"[{','.join(texts)}]".encode()
