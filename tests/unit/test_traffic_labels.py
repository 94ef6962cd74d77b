"""Labels of a report: how they are read, which answers they prove right, and which requests they do not belong to."""

from __future__ import annotations

import pytest
from traffic_lines import PLAN, add_up, line

from modelkit.errors import ModelkitError
from modelkit.traffic.labels import Truth, read_labels
from modelkit.traffic.summary import summarize
from modelkit.traffic.text import as_text


def test_a_multilabel_prediction_is_right_if_all_its_labels_are() -> None:
    truth = Truth("tall | curly")
    assert truth.is_right("curly", ("curly", "tall"))
    assert not truth.is_right("curly", ("curly",))
    assert Truth("").is_right("curly", ())


def test_labels_of_batches_and_of_other_requests_are_counted() -> None:
    batch = line(1, route="batch", label=None, probability=None, items=2, item_labels={"curly": 2})
    failed = line(2, label=None, probability=None, code="image_undecodable", status=422)
    truths = {f"request-{number}": Truth("curly") for number in (1, 2, 3)}
    traffic = add_up(batch, failed, truths=truths)
    (figures,) = traffic.arms(None).values()
    assert (traffic.labelled_batches, traffic.unmatched, figures.unanswered, figures.labelled) == (1, 1, 1, 0)
    text = as_text(summarize(traffic, PLAN))
    assert "1 labels are of batches" in text
    assert "1 labels are of requests that the log does not have" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,label\na,b\n", "first line must be request_id,label"),
        (b"", "first line must be"),
        (b"request_id,label\n", "has no rows"),
        (b"request_id,label\na,b\na,c\n", ":3: the row says something else about an earlier request"),
        (b"request_id,label\n,b\n", ":2: the row has no request_id"),
        (b"request_id,label\na,\xff\n", "not UTF-8"),
        (b'request_id,label\na,"b\n', "not CSV"),
    ],
)
def test_damaged_labels_are_an_error_with_their_line(tmp_path, content, message) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(ModelkitError, match=message):
        read_labels(path)


def test_labels_are_read_with_their_optional_columns(tmp_path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(
        b"\xef\xbb\xbfrequest_id,label,image,unit,note\na, curly ,1.jpg,caller,x\na,curly,1.jpg,caller,y\n"
    )
    assert read_labels(path) == {"a": Truth("curly", "1.jpg", "caller")}
