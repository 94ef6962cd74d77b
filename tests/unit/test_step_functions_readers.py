"""Readers, batches and retries, as AWS documents them: `docs/step-functions.md` names the sentences."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
from state_machines import FakeStore

from localcloud.stepfunctions.batches import Batcher, one_by_one
from localcloud.stepfunctions.limits import StatesError
from localcloud.stepfunctions.readers import GET_OBJECT, LIST_OBJECTS, limited, read_items
from localcloud.stepfunctions.retries import delay_seconds, find_retrier, matches

if TYPE_CHECKING:
    from collections.abc import Mapping


def read(body: bytes, **config: Any) -> list[Any]:
    store = FakeStore()
    store.objects["b/k"] = body
    return list(read_items(GET_OBJECT, {"Bucket": "b", "Key": "k"}, config, store))


def test_json_lines_skip_empty_lines_and_keep_unicode() -> None:
    body = '{"key":"ä ö+.jpg"}\n\n  \n{"key":"a\\u2028b"}\r\n"text"'.encode()
    assert read(body, InputType="JSONL") == [{"key": "ä ö+.jpg"}, {"key": "a\u2028b"}, "text"]


def test_a_line_separator_of_unicode_does_not_end_a_json_line() -> None:
    assert read('{"key":"a\u2028b"}\n'.encode(), InputType="JSONL") == [{"key": "a\u2028b"}]


def test_csv_reads_quotes_line_breaks_short_and_long_rows() -> None:
    body = '\ufeffkey,note\r\n"a ""b"", c.jpg","two\nlines"\r\n\r\nshort\r\nlong,x,dropped\r\nö +.jpg,\r\n'.encode()
    assert read(body, InputType="CSV", CSVHeaderLocation="FIRST_ROW") == [
        {"key": 'a "b", c.jpg', "note": "two\nlines"},
        {"key": "short", "note": ""},
        {"key": "long", "note": "x"},
        {"key": "ö +.jpg", "note": ""},
    ]


@pytest.mark.parametrize(
    ("name", "character"), [("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("SPACE", " "), ("TAB", "\t")]
)
def test_csv_delimiters_are_named(name: str, character: str) -> None:
    body = f"a{character}b\n1{character}2\n".encode()
    assert read(body, InputType="CSV", CSVHeaderLocation="FIRST_ROW", CSVDelimiter=name) == [{"a": "1", "b": "2"}]


def test_a_given_csv_header_makes_the_first_row_an_item() -> None:
    assert read(b"1,2\n", InputType="CSV", CSVHeaderLocation="GIVEN", CSVHeaders=["a", "b"]) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("body", "config", "cause"),
    [
        (b"", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, "no header row"),
        (b"a,a\n1,2\n", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, "column twice"),
        (b"a" * 10_241 + b"\n1\n", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, "longer than 10240"),
        (b'a\n"open\n', {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, "Line 2"),
        (b'{"a":1}\n{"a":\n', {"InputType": "JSONL"}, "Line 2 is not JSON"),
        (b'{"a":1}\n\xff\n', {"InputType": "JSONL"}, "not UTF-8"),
        (b'{"a":NaN}\n', {"InputType": "JSONL"}, "Line 1 is not JSON: NaN"),
        (rb'{"a":"\ud800"}', {"InputType": "JSONL"}, "Line 1 is not JSON: .*surrogates"),
        (b'{"a":1}\n' + b"[" * 5000 + b"]" * 5000, {"InputType": "JSONL"}, "Line 2 is not JSON: more than 100 levels"),
        (b"[" * 200_000, {"InputType": "JSONL"}, "Line 1 is not JSON"),
        (b"[[[-Infinity]]]", {"InputType": "JSON"}, "not JSON"),
        (b'{"a":1}', {"InputType": "JSON"}, "not a JSON array"),
        (b"[1,", {"InputType": "JSON"}, "not JSON"),
    ],
)
def test_a_malformed_dataset_is_item_reader_failed(body: bytes, config: Mapping[str, str], cause: str) -> None:
    with pytest.raises(StatesError, match=cause) as failure:
        read(body, **config)
    assert failure.value.error == "States.ItemReaderFailed"


def test_a_listing_has_every_object_of_the_prefix_folders_included() -> None:
    store = FakeStore()
    store.objects |= {"b/in/": b"", "b/in/a.jpg": b"1", "b/in10/b.jpg": b"2", "b/other": b"3"}
    items = list(read_items(LIST_OBJECTS, {"Bucket": "b", "Prefix": "in/"}, {}, store))
    assert [item["Key"] for item in items] == ["in/", "in/a.jpg"]
    items = list(read_items(LIST_OBJECTS, {"Bucket": "b", "Prefix": "in"}, {}, store))
    assert [item["Key"] for item in items] == ["in/", "in/a.jpg", "in10/b.jpg"]


def test_max_items_ends_a_dataset() -> None:
    assert list(limited(itertools.count(), 3)) == [0, 1, 2]
    assert list(limited([1, 2], None)) == [1, 2]


@pytest.mark.parametrize(("items", "size", "expected"), [(2, None, [2, 2, 1]), (None, 40, [3, 2]), (2, 40, [2, 2, 1])])
def test_batches_are_bounded_by_count_and_bytes(items: int | None, size: int | None, expected: list[int]) -> None:
    batches = list(Batcher(items, size).batches({"k": "ä" * 2} for _ in range(5)))
    assert [batch.items for batch in batches] == expected
    for batch in batches:
        assert size is None or len(batch.text.encode()) - len('{"Items":}') <= size


def test_every_item_is_an_input_without_a_batcher() -> None:
    assert [(batch.text, batch.items) for batch in one_by_one([{"k": "ä"}, 2])] == [('{"k":"ä"}', 1), ("2", 1)]


def test_delays_back_off_up_to_the_longest_and_jitter_below_it() -> None:
    generator = random.Random(1)
    retrier = {"IntervalSeconds": 2, "BackoffRate": 3, "MaxDelaySeconds": 10}
    assert [delay_seconds(retrier, attempts, generator) for attempts in range(4)] == [2, 6, 10, 10]
    jittered = [delay_seconds({**retrier, "JitterStrategy": "FULL"}, 1, generator) for _ in range(200)]
    assert 0 <= min(jittered) < 1
    assert 5 < max(jittered) <= 6
    assert [delay_seconds({}, attempts, generator) for attempts in range(3)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["States.ALL"], "Anything", True),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", True),
        (["States.TaskFailed"], "Lambda.Unknown", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["Lambda.ServiceException"], "Lambda.Unknown", False),
    ],
)
def test_error_names_match_as_the_states_language_specifies(names: list[str], error: str, *, expected: bool) -> None:
    assert matches(names, error) is expected


def test_the_first_retrier_that_matches_decides() -> None:
    retriers: list[dict[str, Any]] = [{"ErrorEquals": ["A"], "MaxAttempts": 1}, {"ErrorEquals": ["States.ALL"]}]
    generator = random.Random(1)
    assert find_retrier(retriers, "A", {}, generator)[1] == 0
    assert find_retrier(retriers, "A", {0: 1}, generator) == (None, -1)
    assert find_retrier(retriers, "B", {0: 1}, generator)[1] == 1
    assert find_retrier(retriers, "B", {1: 3}, generator) == (None, -1)
