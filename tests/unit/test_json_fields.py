"""Typed access to a JSON document: the longest list."""

from __future__ import annotations

import pytest
from loupe.card import CardError
from loupe.json_fields import Fields


def test_a_list_may_have_as_many_items_as_the_limit() -> None:
    fields = Fields({"items": [{}, {}]}, "card.json", CardError)
    assert len(fields.children("items", most=2)) == 2
    with pytest.raises(CardError, match="at most 1, not 2"):
        fields.children("items", most=1)


def test_a_list_of_texts_may_have_as_many_items_as_the_limit() -> None:
    fields = Fields({"labels": ["a", "b"]}, "card.json", CardError)
    assert fields.texts("labels", most=2) == ("a", "b")
    with pytest.raises(CardError, match="at most 1, not 2"):
        fields.texts("labels", most=1)
