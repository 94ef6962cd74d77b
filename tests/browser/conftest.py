"""The page served by the real handler behind a stand-in for API Gateway; see `chromium` for how pages are watched."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import Open, browser, open_page, shared_page
from tests.browser.gateway import Gateway, Handler
from tests.unit.tinymodel import write_model

__all__ = ["browser", "open_page", "shared_page"]

ROOT = Path(__file__).parents[2]


def load_handler(models: Path, name: str, *others: str) -> Handler:
    """The function's handler as a cold start makes it, for one model or several."""
    spec = importlib.util.spec_from_file_location(f"handler_{name.replace('-', '_')}", ROOT / "function" / "handler.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOUPE_MODELS_DIR", str(models))
        patch.setenv("LOUPE_MODEL", name)
        if others:
            patch.setenv("LOUPE_MODELS", ",".join((name, *others)))
        spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


@pytest.fixture(scope="session")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Handler:
    """The whole function, with a model that tells red images from blue ones."""
    evaluation = {
        "dataset": "Plain pictures",
        "size": 82,
        "accuracy": 0.951,
        "accuracy_interval_95": [0.881, 0.981],
        "confusion": [[40, 2], [2, 38]],
        "ece": 0.031,
    }
    models = tmp_path_factory.mktemp("models")
    write_model(
        models / "tiny",
        description="Tells red pictures from blue ones.",
        evaluation=evaluation,
        license={"spdx": "MIT"},
    )
    return load_handler(models, "tiny")


@pytest.fixture
def gateway(handler: Handler) -> Iterator[Gateway]:
    with Gateway(handler).serve() as gateway:
        yield gateway


@pytest.fixture
def page(open_page: Open, gateway: Gateway) -> Page:
    return open_page(gateway.url)
