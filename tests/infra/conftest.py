"""Each environment of cdk.json, synthesized once."""

from __future__ import annotations

import pytest

from tests.infra import synthesis
from tests.infra.synthesis import Synthesized, synthesize
from tests.infra.variants import ENVIRONMENTS


@pytest.fixture(scope="session", autouse=True)
def _synthesized_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    synthesis.cache = synthesis.shared_folder(tmp_path_factory)


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def synthesized(request: pytest.FixtureRequest) -> Synthesized:
    return synthesize(request.param)


@pytest.fixture(scope="session")
def prod() -> Synthesized:
    return synthesize("prod")
