"""Objects that arrive in a bucket: S3 -> EventBridge -> SQS -> one result row for each object, exactly once.

Source of the events: Amazon S3 user guide, 'EventBridge event message structure' (keys are not URL-encoded there), and
AWS Lambda developer guide, 'Reporting batch item failures for Lambda functions with an Amazon SQS trigger'.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from loupe.bulk.classify import classify_items
from loupe.bulk.items import Item, is_skipped
from loupe.bulk.keys import notification_key, upload_key
from loupe.bulk.store import StoreUnavailableError
from loupe.errors import InternalError, ItemInvalid, Problem
from loupe.prediction import DEFAULT_TOP
from loupe.sources.s3 import S3Object
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loupe.bulk.store import ResultStore
    from loupe.service import ClassificationService
    from loupe.sources import Sources

_DETAIL_TYPE = "Object Created"
_GROUP_CHARACTERS = 128
# Transient errors of a publication (Amazon SNS API reference, Publish), apart from 429 and 5xx.
_THROTTLED = frozenset({"KMSThrottling", "Throttled", "Throttling", "ThrottlingException"})
# Requests to the results bucket and the topic at once.
_WORKERS = 8
_Result = TypeVar("_Result")


class Topic(Protocol):
    """The call of boto3's SNS client that is used."""

    def publish(self, **arguments: Any) -> Mapping[str, Any]: ...


class Arrival(NamedTuple):
    """An object version that arrived.

    Attributes
    ----------
    version
        Distinguishes uploads of one key: the version id, or the event's sequencer where the bucket has no versions.
    """

    source: S3Object
    version: str

    @property
    def row_key(self) -> str:
        """Key of the object's row."""
        return upload_key(self.source.bucket, self.source.key, self.version)


class UploadOutcome(NamedTuple):
    """Ids of the messages to be delivered again, and the problem of the first unexpected exception."""

    failed: list[str]
    fault: Problem | None


class UploadProcessor:
    """Classifies the objects of a batch of messages.

    Parameters
    ----------
    topic, topic_arn
        Where a message about each object goes; None and '' for none.
    """

    def __init__(
        self,
        service: ClassificationService,
        sources: Sources,
        store: ResultStore,
        topic: Topic | None = None,
        topic_arn: str = "",
    ) -> None:
        self._service, self._sources, self._store = service, sources, store
        self._topic, self._topic_arn = topic, topic_arn

    def run(self, records: Sequence[Mapping[str, Any]], deadline: float, request_id: str) -> UploadOutcome:
        """Process messages of SQS until a deadline (monotonic seconds)."""
        failed: list[str] = []
        messages: dict[Arrival, list[str]] = {}
        for record in records:
            try:
                arrival = read_arrival(record["body"])
            except ItemInvalid:
                # Delivered again until it lands in the dead-letter queue, where a person looks at it.
                failed.append(record["messageId"])
                continue
            if arrival is not None:
                # Two deliveries of one event are one object.
                messages.setdefault(arrival, []).append(record["messageId"])
        arrivals = list(messages)
        with ThreadPoolExecutor(_WORKERS, "loupe-rows") as pool:
            written = list(pool.map(partial(_result_or_problem, self._existing_row), arrivals))
        outcome = classify_items(
            self._service,
            self._sources,
            [Item(i, arrival.source, None, None) for i, arrival in enumerate(arrivals) if written[i] is None],
            top=DEFAULT_TOP,
            deadline=deadline,
            request_id=request_id,
            stages=Stages(),
        )
        # Transient failures are delivered again instead of becoming a final row.
        passing = {item.index for item in (*outcome.unavailable, *outcome.faulty)}
        lines = [None if index in passing else outcome.lines.get(index) for index in range(len(arrivals))]
        with ThreadPoolExecutor(_WORKERS, "loupe-rows") as pool:
            finished = list(pool.map(partial(_result_or_problem, self._finish), arrivals, written, lines))
        failed += [message for arrival, done in zip(arrivals, finished, strict=True) if done is not True
                   for message in messages[arrival]]  # fmt: skip
        faults = [done for done in finished if isinstance(done, Problem)]
        return UploadOutcome(failed, next(iter(faults), outcome.fault))

    def _finish(self, arrival: Arrival, written: bytes | Problem | None, line: bytes | None) -> bool | Problem:
        """Write a row and send its message, unless an earlier delivery did.

        Returns
        -------
        bool | Problem
            False if the message has to be delivered again; the problem of the lookup if that failed.
        """
        if isinstance(written, Problem):
            return written
        try:
            if written is None:
                if line is None:
                    return False
                row = _row(arrival, line)
                if self._store.write_once(arrival.row_key, row):
                    return self._notify(arrival, row)
                # Another environment wrote it and is about to send the message: look again with the next delivery.
                return self._topic is None or self._is_notified(arrival)
            return self._topic is None or self._is_notified(arrival) or self._notify(arrival, written)
        except StoreUnavailableError:
            return False

    def _existing_row(self, arrival: Arrival) -> bytes | None:
        """Return the row that an earlier delivery wrote; None also if S3 is unavailable."""
        try:
            return self._store.read(arrival.row_key)
        except StoreUnavailableError:
            return None

    def _is_notified(self, arrival: Arrival) -> bool:
        return self._store.read(notification_key(arrival.row_key)) is not None

    def _notify(self, arrival: Arrival, row: bytes) -> bool:
        """Send the message about a row and record that it was sent; False if the topic does not take it."""
        if self._topic is None:
            return True
        value = json.loads(row)
        arguments: dict[str, Any] = {
            "TopicArn": self._topic_arn,
            "Message": row.decode(),
            "MessageAttributes": {
                "outcome": {
                    "DataType": "String",
                    "StringValue": value["error"]["code"] if "error" in value else "classified",
                }
            },
        }
        if self._topic_arn.endswith(".fifo"):
            arguments["MessageDeduplicationId"] = value["id"]
            arguments["MessageGroupId"] = value["id"][:_GROUP_CHARACTERS]
        try:
            self._topic.publish(**arguments)
        except ClientError as error:
            if _is_transient(error):
                return False
            raise
        except (NoConnectionError, HTTPClientError):
            return False
        self._store.write(notification_key(arrival.row_key), b"", "application/octet-stream")
        return True


def _result_or_problem(action: Callable[..., _Result], *arguments: Any) -> _Result | Problem:
    """Return the result for one arrival, or an unexpected exception as a problem of that arrival only."""
    try:
        return action(*arguments)
    except Exception as error:  # noqa: BLE001 (an entry point: of the arrival)
        return InternalError.from_exception(error)


def _is_transient(error: ClientError) -> bool:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    return error.response.get("Error", {}).get("Code") in _THROTTLED or status == 429 or status >= 500


def topic_client(topic_arn: str) -> Any:
    """Create a client for a topic, or return None without one."""
    if not topic_arn:
        return None
    import boto3

    config = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
    return boto3.client("sns", config=config)


def read_arrival(body: str) -> Arrival | None:
    """Read a message's body: an event of EventBridge about an object; None for one that is not classified.

    Raises
    ------
    loupe.errors.ItemInvalid
        If it is no such event.
    """
    try:
        event = json.loads(body)
        if event["detail-type"] != _DETAIL_TYPE:
            raise ItemInvalid("The message is not an event about a new object.")
        detail = event["detail"]
        bucket, stored = detail["bucket"]["name"], detail["object"]
        key, version_id = stored["key"], stored.get("version-id")
        version = version_id or stored["sequencer"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ItemInvalid("The message is not an event of S3.") from None
    if not all(isinstance(text, str) and text for text in (bucket, key, version)):
        raise ItemInvalid("The message is not an event of S3.")
    if is_skipped(key):
        return None
    return Arrival(S3Object(bucket, key, version_id), version)


def _row(arrival: Arrival, line: bytes) -> bytes:
    """Return the row of an object: that of a batch with an id and a version in place of the index."""
    value = json.loads(line)
    del value["index"]
    identity = arrival.row_key.rpartition("/")[2].removesuffix(".json")
    return (json.dumps({"id": identity, "version": arrival.version, **value}, separators=(",", ":")) + "\n").encode()
