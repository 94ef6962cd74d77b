"""Log lines out of every form in which they are exported, however large or damaged the file is."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest
from traffic_lines import jsonl, line, read

from modelkit.errors import ModelkitError
from modelkit.traffic.sources import MAX_EVENT_CHARACTERS

LINE = line()
TEXT = json.dumps(LINE)
PAGE = {
    "events": [
        {"logStreamName": "s", "timestamp": 1, "message": "START RequestId: request-0\n", "eventId": "1"},
        {"logStreamName": "s", "timestamp": 2, "message": TEXT + "\n", "eventId": "2"},
    ],
    "searchedLogStreams": [{"logStreamName": "s", "searchedCompletely": True}],
}
ROW = [
    {"field": "@timestamp", "value": "2026-11-26"},
    {"field": "@message", "value": TEXT},
    {"field": "@ptr", "value": "x"},
]


def as_csv(*rows: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def flat() -> dict[str, str]:
    """The line's fields as a query returns them: texts."""
    fields = {name: value for name, value in LINE.items() if name not in ("stages_ms", "message", "timestamp")}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return {**texts, "cold_start": "0", "stages_ms.model": "12.0"}


FORMS = {
    "JSON lines": jsonl(LINE),
    "JSON lines without a newline at the end": TEXT.encode(),
    "Windows line ends": f"{TEXT}\r\n".encode(),
    "a byte order mark": b"\xef\xbb\xbf" + jsonl(LINE),
    "gzip": gzip.compress(jsonl(LINE)),
    "UTF-16, as PowerShell redirects": f"{TEXT}\n".encode("utf-16"),
    "an export to S3": f"2026-11-26T02:00:00.123Z {TEXT}\n".encode(),
    "aws logs tail": f"2026-11-26T02:00:00 2026/11/26/[$LATEST]0a {TEXT}\n".encode(),
    "aws --output text": f"EVENTS\t1\t1700\ts\t{TEXT}\n\t1700\n".encode(),
    "an event on each line": jsonl(PAGE["events"][1]),
    "filter-log-events, indented": json.dumps(PAGE, indent=4).encode(),
    "filter-log-events, compact": json.dumps(PAGE, separators=(",", ":")).encode(),
    "a token before the events": json.dumps({"nextToken": "t", **PAGE}).encode(),
    "--query events": json.dumps(PAGE["events"], indent=4).encode(),
    "get-query-results": json.dumps({"results": [ROW], "statistics": {}, "status": "Complete"}, indent=4).encode(),
    "get-query-results with fields": json.dumps(
        {"results": [[{"field": name, "value": text} for name, text in flat().items()]]}
    ).encode(),
    "the console's JSON": json.dumps([{"@timestamp": "2026-11-26", "@message": LINE}], indent=2).encode(),
    "the console's CSV": as_csv(["@timestamp", "@message"], ["2026-11-26", TEXT]),
    "the console's CSV with fields": as_csv([*flat()], [*flat().values()]),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_request_is_read_from_every_form(form) -> None:
    traffic = read(FORMS[form])
    assert traffic.requests == 1
    assert not traffic.damage
    (arm,) = traffic.arms(None).values()
    assert (arm.name, arm.labels["curly"], arm.cold_starts) == ("hair-type 1.1.0 (float16)", 1, 0)
    assert arm.stages["model"].quantile(0.5) == pytest.approx(12.0, rel=0.005)


def test_several_documents_after_each_other_are_read() -> None:
    first = json.dumps({"events": [{"timestamp": 1, "message": json.dumps(line(number))} for number in range(3)]})
    second = json.dumps({"events": [{"timestamp": 1, "message": json.dumps(line(number))} for number in range(2, 5)]})
    traffic = read(f"{first}\n{second}\n".encode())
    assert (traffic.requests, traffic.duplicates) == (5, 1)


def test_texts_that_look_like_a_list_of_events_are_texts() -> None:
    hostile = json.dumps({"events": [{"timestamp": 1, "message": '"events": [ {"message": "x"} ]'}], "nextToken": "a"})
    assert read(hostile.encode()).requests == 0
    assert not read(hostile.encode()).damage


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"{}", b"[]", b'{"events": []}', b"hello, world\n", b"\xff\xfe", b"\0" * 1000]
)
def test_an_account_without_resources_has_no_leftovers(content) -> None:
    assert read(content).requests == 0


@pytest.mark.parametrize("form", ["filter-log-events, indented", "filter-log-events, compact", "--query events"])
def test_a_document_that_was_cut_off_is_reported_after_its_whole_events(form) -> None:
    content = FORMS[form]
    traffic = read(content[: content.rindex(b'"eventId"')])
    assert traffic.lines == 1
    assert traffic.damage == {"the document ends within its events": 1}


def test_a_damaged_document_is_reported_and_read_no_further() -> None:
    damaged = json.dumps(PAGE).replace('"eventId": "1"', '"eventId" "1"').encode()
    traffic = read(damaged + b" " * (2 * MAX_EVENT_CHARACTERS))
    assert sum(traffic.damage.values()) == 1
    assert traffic.requests == 0


def test_a_line_that_is_longer_than_an_event_is_left_out() -> None:
    traffic = read(b"{" + b"x" * (MAX_EVENT_CHARACTERS + 100_000) + b"\n" + jsonl(LINE))
    assert traffic.requests == 1
    assert traffic.places == {"longer than a log event": ["log:1"]}


def test_a_damaged_gzip_file_is_an_error_with_its_name() -> None:
    with pytest.raises(ModelkitError, match="log is compressed and damaged"):
        read(gzip.compress(jsonl(LINE) * 1000)[:-20])


def test_damaged_csv_rows_are_left_out() -> None:
    content = as_csv(["@timestamp", "@message"], ["1", TEXT])
    too_long = read(content + b'"' + b"x" * (MAX_EVENT_CHARACTERS + 100_000))
    assert (too_long.requests, dict(too_long.damage)) == (1, {"longer than a log event": 1})
    unclosed = read(content + b'"' + (b"x" * 1000 + b"\n") * (MAX_EVENT_CHARACTERS // 1000 + 10))
    assert (unclosed.requests, unclosed.damage["not CSV"]) == (1, 1)
