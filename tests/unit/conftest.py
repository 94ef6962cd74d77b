"""Unit tests: no network. A test that serves something itself says so with ``@pytest.mark.allow_hosts([...])``."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from loupe.classifier import Classifier
from tinymodel import write_model

# The same examples in every run, and no time limit for one: the machine may be busy.
settings.register_profile("unit", derandomize=True, deadline=None)
settings.load_profile("unit")


def pytest_itemcollected(item: pytest.Item) -> None:
    if not any(item.iter_markers("allow_hosts")) and not any(item.iter_markers("enable_socket")):
        item.add_marker(pytest.mark.disable_socket)


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model that tells red images from blue ones."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def classifier(tiny_directory: Path) -> Classifier:
    return Classifier.load(tiny_directory)
