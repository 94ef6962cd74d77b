"""An image with several models: it holds these and no others, and serves each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.models import Golden
from localcloud.processes import wait_until
from localcloud.state import PROJECT
from tests.container.base import Base
from tests.container.engine import Engine
from tests.container.image import DOCKERFILE, START_SECONDS, Function, entries, payload

IMAGE = "localhost/loupe-test:several-models"
MODELS = ("hair-type", "hair-type-large")


@pytest.fixture(scope="module")
def several(container_engine: Engine, base_image: Base, image: str, mounts: dict[Path, str]) -> Iterator[str]:
    """Built after the image with one model, whose layers of dependencies it shares."""
    arguments = {"BASE": base_image.image, "MODEL": MODELS[0], "MODELS": " ".join(MODELS)}
    container_engine.build(PROJECT, IMAGE, file=DOCKERFILE, arguments=arguments, mounts=mounts)
    yield IMAGE
    container_engine.remove(IMAGE)


def test_the_image_has_the_files_of_these_models_alone(runner: Engine, several: str) -> None:
    root = Path("/var/task/models")
    shipped = {
        path.relative_to(root).as_posix()
        for path, entry in entries(runner, several).items()
        if path.is_relative_to(root) and entry.is_file
    }
    cards = {name: json.loads((PROJECT / "models" / name / "card.json").read_text("utf-8")) for name in MODELS}
    assert shipped == {
        f"{name}/{file}"
        for name, card in cards.items()
        for file in (
            "card.json",
            *(entry["path"] for entry in card["files"]),
            *(case["image"] for case in card["golden"]),
        )
    }


def test_a_container_serves_each_model(runner: Engine, several: str, golden_cases: list[Golden]) -> None:
    with runner.running(several, "--env", "LOUPE_MODELS=" + ",".join(MODELS)) as container:
        function = Function(runner, container)
        assert wait_until(function.listens, START_SECONDS), runner.logs(container)
        for name in MODELS:
            result = function.invoke({**payload(golden_cases[0]), "model": name})
            assert (result["label"], result["model"]["name"]) == (golden_cases[0].label, name), result
