"""A base image that already holds a model, as the course's does: graph and weights in its working directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from localcloud.models import Golden
from localcloud.processes import wait_until
from localcloud.state import PROJECT
from tests.container.base import Base
from tests.container.engine import Engine, EngineError
from tests.container.image import DOCKERFILE, MODEL, START_SECONDS, Function, payload

NAME = "in-the-base"
GRAPH = "classifier_empty.onnx"
WEIGHTS = f"{GRAPH}.data"
BASE_WITH_MODEL = "localhost/loupe-test:base-with-model"
IMAGE = "localhost/loupe-test:model-in-base"


def write_model(folder: Path) -> None:
    """The project's model with its weights beside the graph, as PyTorch exports them."""
    model = onnx.load(PROJECT / "models" / MODEL / "model.onnx")
    onnx.save_model(model, folder / GRAPH, save_as_external_data=True, location=WEIGHTS, size_threshold=1024)
    # As some tools write them; Lambda runs an image as somebody else.
    (folder / WEIGHTS).chmod(0o600)


def write_card(folder: Path, files: list[Path]) -> None:
    """A card alone: the files that it names are in no folder of the project."""
    card = json.loads((PROJECT / "models" / MODEL / "card.json").read_text(encoding="utf-8"))
    described = [{"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                  "bytes": path.stat().st_size} for path in files]  # fmt: skip
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({**card, "name": NAME, "graph": GRAPH, "files": described}))


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return folder


@pytest.fixture
def base_with_model(container_engine: Engine, base_image: Base, model: Path) -> Iterator[str]:
    (model / "Dockerfile").write_text(f"FROM {base_image.image}\nCOPY {GRAPH} {WEIGHTS} /var/task/\n")
    container_engine.build(model, BASE_WITH_MODEL, file="Dockerfile", arguments={}, mounts={})
    yield BASE_WITH_MODEL
    container_engine.remove(BASE_WITH_MODEL)


def test_a_card_without_files_serves_the_model_of_the_base_image(
    runner: Engine,
    base_with_model: str,
    model: Path,
    context: Path,
    mounts: dict[Path, str],
    golden_cases: list[Golden],
) -> None:
    write_card(context / "models" / NAME, [model / GRAPH, model / WEIGHTS])
    arguments = {"BASE": base_with_model, "MODEL": NAME}
    runner.build(context, IMAGE, file=DOCKERFILE, arguments=arguments, mounts=mounts)
    try:
        with runner.running(IMAGE) as container:
            function = Function(runner, container)
            assert wait_until(function.listens, START_SECONDS), runner.logs(container)
            result = function.invoke(payload(golden_cases[0]))
        assert result["label"] == golden_cases[0].label, result
        assert result["probability"] == pytest.approx(golden_cases[0].probability, abs=golden_cases[0].tolerance)
        assert result["model"]["name"] == NAME
    finally:
        runner.remove(IMAGE)


def test_a_missing_model_file_stops_the_build(
    container_engine: Engine, base_image: Base, model: Path, context: Path
) -> None:
    write_card(context / "models" / NAME, [model / GRAPH, model / WEIGHTS])
    arguments = {"BASE": base_image.image, "MODEL": NAME}
    with pytest.raises(EngineError, match=f"{GRAPH} is neither in models/{NAME} nor in the base's working directory"):
        container_engine.build(context, IMAGE, file=DOCKERFILE, arguments=arguments, mounts={})
