"""Objects that arrive: one row for each version of a key, partial failures, and one message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from bulk_fakes import RESULTS, FakeBucketStore, client_error
from events import Context
from fakes import Opened
from images import BLUE, RED, jpeg, solid
from loupe.bulk import classify
from loupe.bulk.batch import BatchProcessor
from loupe.bulk.invocation import BulkLog, Invocations
from loupe.bulk.settings import BulkSettings
from loupe.bulk.store import ResultStore
from loupe.bulk.uploads import UploadProcessor, read_arrival, topic_client
from loupe.errors import ItemInvalid
from loupe.service import Service
from loupe.sources import Sources
from loupe.sources.s3 import S3Location, S3Object, S3Rules
from loupe.sources.s3_errors import TRANSIENT_CODES
from loupe.sources.s3_reader import ObjectReader
from loupe.variables import SettingsError

RULES = S3Rules((S3Location("photos", "arrivals/"),))
TOPIC = "arn:aws:sns:eu-west-1:111122223333:loupe-arrivals"


class FakeTopic:
    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.fail: list[Exception] = []

    def publish(self, **arguments: Any) -> dict[str, Any]:
        if self.fail:
            raise self.fail.pop(0)
        self.published.append(arguments)
        return {"MessageId": "1"}


class Arrivals:
    def __init__(self, classifier: Any, *, topic: FakeTopic | None = None, topic_arn: str = TOPIC) -> None:
        self.images = FakeBucketStore(
            {
                ("photos", "arrivals/red.jpg"): jpeg(solid(RED)),
                ("photos", "arrivals/blue.jpg"): jpeg(solid(BLUE)),
                ("photos", "arrivals/broken.jpg"): jpeg(solid(RED))[:200],
                ("photos", "other/red.jpg"): jpeg(solid(RED)),
            }
        )
        self.results = FakeBucketStore()
        reader = ObjectReader(RULES, classifier.limits.max_bytes, self.images)  # type: ignore[arg-type]
        sources, store = Sources({S3Object: Opened(reader, RULES)}), ResultStore(RESULTS, self.results)
        service, log = Service(classifier), BulkLog("test")
        uploads = UploadProcessor(service, sources, store, topic, topic_arn if topic else "")
        self.invocations = Invocations(BatchProcessor(service, sources, store, log.batch), uploads, log, 0)

    def deliver(self, *bodies: Any) -> list[str]:
        """Deliver messages; return the ids of those that are to come again."""
        records = [{"messageId": f"m{number}", "body": body if isinstance(body, str) else json.dumps(body)}
                   for number, body in enumerate(bodies)]  # fmt: skip
        answer = self.invocations.run({"Records": records}, Context(remaining_ms=30_000))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(self.results.objects[place]) for place in sorted(self.results.objects)
                if place[1].startswith("uploads/photos/")]  # fmt: skip


def created(key: str = "arrivals/red.jpg", *, sequencer: str = "0062E99A88DC407460", **stored: Any) -> dict[str, Any]:
    """An event as EventBridge sends it ('EventBridge event message structure')."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "detail": {
            "version": "0",
            "bucket": {"name": "photos"},
            "object": {"key": key, "size": 5, "etag": "b1946ac92492d234", "sequencer": sequencer, **stored},
            "reason": "PutObject",
        },
    }  # fmt: skip


@pytest.fixture
def arrivals(classifier) -> Arrivals:
    return Arrivals(classifier)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch) -> None:
    monkeypatch.setattr(classify, "_FIRST_PAUSE_SECONDS", 0.0)


def test_each_object_has_one_row(arrivals) -> None:
    keys = ("arrivals/red.jpg", "arrivals/blue.jpg", "arrivals/broken.jpg", "arrivals/gone.jpg", "other/red.jpg")
    assert arrivals.deliver(*map(created, keys)) == []
    outcomes = {row["key"]: row.get("label") or row["error"]["code"] for row in arrivals.rows()}
    assert outcomes == {
        "arrivals/red.jpg": "red",
        "arrivals/blue.jpg": "blue",
        "arrivals/broken.jpg": "image_undecodable",
        "arrivals/gone.jpg": "s3_unreachable",
        "other/red.jpg": "s3_not_allowed",
    }
    assert all(len(row["id"]) == 64 and "index" not in row for row in arrivals.rows())


def test_folders_and_other_files_are_skipped(arrivals) -> None:
    assert arrivals.deliver(created("arrivals/new/"), created("arrivals/notes.txt")) == []
    assert arrivals.results.objects == {}


def test_deliveries_of_one_event_are_one_row(arrivals) -> None:
    arrivals.deliver(created(), created())
    first = dict(arrivals.results.objects)
    arrivals.images.calls.clear()
    arrivals.deliver(created())
    assert arrivals.results.objects == first
    assert (len(first), arrivals.images.calls) == (1, [])


def test_versions_and_uploads_of_one_key_have_separate_rows(arrivals) -> None:
    arrivals.deliver(created(sequencer="1"), created(sequencer="2"), created(**{"version-id": "v1"}))
    assert sorted(row["version"] for row in arrivals.rows()) == ["1", "2", "v1"]
    assert [call.get("VersionId") for name, call in arrivals.images.calls if "VersionId" in call] == ["v1"]


def test_two_environments_at_once_write_one_row(arrivals) -> None:
    """Both look before either writes: the conditional write lets one win, and the other's message is done, too."""
    arrivals.deliver(created())
    (place,) = arrivals.results.objects
    winner = arrivals.results.objects[place]
    arrivals.results.fail["get_object"] = ["NoSuchKey"]
    assert arrivals.deliver(created()) == []
    assert arrivals.results.objects[place] == winner


@pytest.mark.parametrize("failure", [*sorted(TRANSIENT_CODES), ReadTimeoutError(endpoint_url="https://s3")])
def test_messages_whose_rows_cannot_be_written_are_redelivered(arrivals, failure) -> None:
    arrivals.results.fail["put_object"] = [failure]
    assert arrivals.deliver(created("arrivals/red.jpg"), created("arrivals/blue.jpg")) == ["m0"]
    assert arrivals.deliver(created("arrivals/red.jpg")) == []
    assert len(arrivals.rows()) == 2


def test_messages_of_unreadable_objects_are_redelivered(arrivals) -> None:
    arrivals.images.fail["get_object"] = ["SlowDown"] * 3
    assert arrivals.deliver(created()) == ["m0"]
    assert arrivals.rows() == []
    assert arrivals.deliver(created()) == []


def test_messages_past_the_deadline_are_redelivered(arrivals) -> None:
    record = {"messageId": "m0", "body": json.dumps(created())}
    assert arrivals.invocations.run({"Records": [record]}, Context(remaining_ms=500)) == {
        "batchItemFailures": [{"itemIdentifier": "m0"}]
    }
    assert arrivals.rows() == []


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", "null", "[" * 100_000, '{"detail-type": "Object Deleted"}', '{"detail-type": "Object Created"}',
     json.dumps({**created(), "detail": {"bucket": {"name": "photos"}, "object": {"key": 5, "sequencer": "1"}}}),
     json.dumps({**created(), "detail": {"bucket": {"name": "photos"}, "object": {"key": "a.jpg"}}})],
)  # fmt: skip
def test_messages_that_are_no_events_go_to_the_dead_letter_queue(arrivals, body) -> None:
    with pytest.raises(ItemInvalid):
        read_arrival(body)
    assert arrivals.deliver(body, created()) == ["m0"]
    assert len(arrivals.rows()) == 1


def test_keys_are_not_decoded() -> None:
    arrival = read_arrival(json.dumps(created("arrivals/a+b%20c é.jpg")))
    assert arrival is not None
    assert arrival.source.key == "arrivals/a+b%20c é.jpg"


def test_one_message_for_each_object(classifier) -> None:
    topic = FakeTopic()
    arrivals = Arrivals(classifier, topic=topic)
    arrivals.deliver(created(), created("arrivals/broken.jpg"))
    arrivals.deliver(created(), created("arrivals/broken.jpg"))
    messages = [json.loads(message["Message"]) for message in topic.published]
    assert {message["key"] for message in messages} == {"arrivals/red.jpg", "arrivals/broken.jpg"}
    assert len(messages) == 2
    attributes = {message["MessageAttributes"]["outcome"]["StringValue"] for message in topic.published}
    assert attributes == {"classified", "image_undecodable"}


@pytest.mark.parametrize(
    "failure",
    [
        client_error("ThrottlingException"),
        client_error("KMSThrottling"),
        client_error("TooManyRequestsException"),
        client_error("ServiceUnavailable"),
        ReadTimeoutError(endpoint_url="https://sns"),
        EndpointConnectionError(endpoint_url="https://sns"),
    ],
)
def test_a_message_that_was_not_sent_is_sent_with_the_next_delivery(classifier, failure, capsys) -> None:
    topic = FakeTopic()
    topic.fail = [failure]
    arrivals = Arrivals(classifier, topic=topic)
    assert arrivals.deliver(created()) == ["m0"]
    assert (len(arrivals.rows()), topic.published) == (1, [])
    assert json.loads(capsys.readouterr().out)["level"] == "INFO"
    arrivals.images.calls.clear()
    assert arrivals.deliver(created()) == []
    assert (len(topic.published), arrivals.images.calls) == (1, [])


@pytest.mark.parametrize(
    "failure", [client_error("AuthorizationError"), client_error("NotFound"), NoCredentialsError()]
)
def test_a_topic_that_rejects_messages_is_an_error_in_the_log_and_stops_no_other_object(
    classifier, failure, capsys
) -> None:
    topic = FakeTopic()
    topic.fail = [failure]
    arrivals = Arrivals(classifier, topic=topic)
    assert len(arrivals.deliver(created(), created("arrivals/blue.jpg"))) == 1
    assert (len(arrivals.rows()), len(topic.published)) == (2, 1)
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["failed"]) == ("ERROR", 1)
    assert type(failure).__name__ in line["exception"]


@pytest.mark.parametrize("operation", ["get_object", "put_object"])
def test_an_unexpected_error_of_one_object_redelivers_that_one(arrivals, operation, capsys) -> None:
    arrivals.results.fail[operation] = ["AccessDenied"]
    assert len(arrivals.deliver(created(), created("arrivals/blue.jpg"))) == 1
    assert len(arrivals.rows()) == 1
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["failed"]) == ("ERROR", 1)
    assert "ClientError" in line["exception"]


def test_an_environment_that_loses_the_race_leaves_the_message_to_the_other(classifier) -> None:
    topic = FakeTopic()
    arrivals = Arrivals(classifier, topic=topic)
    arrivals.deliver(created())
    sent = next(place for place in arrivals.results.objects if place[1].startswith("uploads/.sent/"))
    mark = arrivals.results.objects.pop(sent)
    # The other has written the row and not sent yet: its message must not be sent twice.
    arrivals.results.fail["get_object"] = ["NoSuchKey"]
    assert arrivals.deliver(created()) == ["m0"]
    arrivals.results.objects[sent] = mark
    assert arrivals.deliver(created()) == []
    assert len(topic.published) == 1


def test_a_fifo_topic_removes_duplicates_by_the_rows_id(classifier) -> None:
    topic = FakeTopic()
    arrivals = Arrivals(classifier, topic=topic, topic_arn=f"{TOPIC}.fifo")
    arrivals.deliver(created())
    assert topic.published[0]["MessageDeduplicationId"] == arrivals.rows()[0]["id"]
    assert topic.published[0]["MessageGroupId"]


def test_settings() -> None:
    settings = BulkSettings.from_environment({"LOUPE_BULK_RESULTS_BUCKET": RESULTS})
    assert (settings, topic_client(settings.topic_arn)) == (BulkSettings(RESULTS, ""), None)
    with pytest.raises(SettingsError, match="LOUPE_BULK_RESULTS_BUCKET"):
        BulkSettings.from_environment({})
    with pytest.raises(SettingsError, match="LOUPE_ON_UPLOAD_TOPIC_ARN"):
        BulkSettings.from_environment({"LOUPE_BULK_RESULTS_BUCKET": RESULTS, "LOUPE_ON_UPLOAD_TOPIC_ARN": "topic"})


def test_the_clients_region_and_limits_are_those_of_the_function(monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    client = topic_client(TOPIC)
    assert (client.meta.service_model.service_name, client.meta.region_name) == ("sns", "eu-west-1")
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (1, 5)
    assert client.meta.config.retries == {"total_max_attempts": 3, "mode": "standard"}
