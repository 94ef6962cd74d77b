"""Each environment of cdk.json, synthesized once."""

from __future__ import annotations

import pytest
from synthesis import ENVIRONMENTS, Synthesized, once


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def synthesized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return once(request.param, tmp_path_factory)


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return once("prod", tmp_path_factory)
