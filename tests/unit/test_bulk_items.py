"""Rows of a manifest or a listing to items, and result rows to bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from loupe.bulk.items import is_skipped, read_item
from loupe.bulk.rows import read_rows


def test_console_folders_and_extensions() -> None:
    skipped = ["a/", "a.txt", "a/b.json", "a.JPG.gz", "x.mp4", ".DS_Store", "d.jpg/", "a/._b.jpg"]
    read = ["a.jpg", "a.JPEG", "a/b.HEIC", "a", "a/b", "a.tiff", "photo 1.final version", "a.", "v1.2/photo"]
    assert [key for key in skipped if not is_skipped(key)] == []
    assert [key for key in read if is_skipped(key)] == []


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["s3", "key", "Key", "x"]), inner),
)


@given(ANY_JSON, st.sampled_from(["jsonl", "csv", "prefix"]))
def test_any_row_is_an_item_a_problem_or_skipped(row, kind) -> None:
    item = read_item({"index": 3, "item": row}, kind, "photos")
    if item is None:
        assert kind == "prefix"
    else:
        assert item.index == 3
        assert (item.source is None) != (item.problem is None)


def test_rows_round_trip() -> None:
    lines = {1: b'{"index":1}\n', 7: b'{"index":7,"x":"\\n"}\n'}
    assert read_rows(b"".join(lines.values())) == lines
