"""One folder of templates for the processes of a test run."""

from __future__ import annotations

import pytest

from tests.infra import synthesis


@pytest.fixture(scope="session", autouse=True)
def _synthesized_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    synthesis.cache = synthesis.shared_folder(tmp_path_factory)
