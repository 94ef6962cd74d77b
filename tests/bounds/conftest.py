"""Bounds of time and memory: no network, the models and the Hypothesis profile of the unit tests."""

from __future__ import annotations

from tests.unit.conftest import classifier, pytest_itemcollected, tiny_directory

__all__ = ["classifier", "pytest_itemcollected", "tiny_directory"]
