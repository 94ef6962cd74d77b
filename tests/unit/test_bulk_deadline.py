"""Deadline of an invocation of the bulk function."""

from __future__ import annotations

import time

import pytest
from loupe.bulk.invocation import deadline_of


def test_the_deadline_reserves_time_for_writing_rows() -> None:
    now = time.monotonic()
    assert deadline_of(900, 1) - now == pytest.approx(900 - 20 - 1, abs=0.1)
    assert deadline_of(30, 1) - now == pytest.approx(30 - 3 - 1, abs=0.1)
    assert deadline_of(4, 100) - now == pytest.approx(4 - 1 - 1, abs=0.1)
