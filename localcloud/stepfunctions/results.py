"""ResultWriter: what the children of a Map Run returned, in files of one status each, and a manifest.

Source: Step Functions developer guide, 'ResultWriter (Map)'.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from localcloud.stepfunctions.redrive import redrive_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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


class Writer(NamedTuple):
    """Where and how results are written: ResultWriter's Parameters and WriterConfig.

    Attributes
    ----------
    compact
        Outputs in place of the executions that returned them (``Transformation``: COMPACT in place of NONE).
    lines
        JSON Lines in place of an array (``OutputType``: JSONL in place of JSON).
    """

    bucket: str
    prefix: str
    compact: bool = False
    lines: bool = False

    def body(self, texts: Sequence[str]) -> bytes:
        """Return a file's content."""
        return ("".join(f"{text}\n" for text in texts) if self.lines else f"[{','.join(texts)}]").encode()


def write_results(
    map_run_arn: str, children: Iterable[Mapping[str, Any]], writer: Writer, store: Store
) -> dict[str, str]:
    """Write the files and the manifest; return ``ResultWriterDetails``.

    Raises
    ------
    StatesError
        If the store rejects a file.
    """
    folder = "/".join(part for part in (writer.prefix.strip("/"), map_run_arn.rsplit(":", 1)[1]) if part)
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    by_file: dict[str, list[Mapping[str, Any]]] = {name: [] for name in files}
    for child in children:
        by_file[FILE_OF_STATUS[child["status"]]].append(child)
    for name, listed in by_file.items():
        # Failed children are returned unchanged, as NONE would (the same page).
        compact = writer.compact and name == "SUCCEEDED"
        texts = (child["output"] if compact else json.dumps(entry(child), ensure_ascii=False) for child in listed)
        for number, body in enumerate(_files(texts, writer)):
            key = f"{folder}/{name}_{number}.{'jsonl' if writer.lines else 'json'}"
            store.write(writer.bucket, key, body)
            files[name].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": writer.bucket, "MapRunArn": map_run_arn, "ResultFiles": files}
    store.write(writer.bucket, f"{folder}/manifest.json", json.dumps(manifest).encode())
    return {"Bucket": writer.bucket, "Key": f"{folder}/manifest.json"}


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


def _files(texts: Iterable[str], writer: Writer) -> Iterator[bytes]:
    held: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode())
        if held and size + length > MAX_FILE_BYTES:
            yield writer.body(held)
            held, size = [], 0
        held.append(text)
        size += length + 1
    if held:
        yield writer.body(held)
