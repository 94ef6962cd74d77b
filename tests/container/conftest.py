"""The function's image, built once by whichever engine is here, on whichever base can be had, and started."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.errors import CloudError
from localcloud.models import Golden, golden
from localcloud.processes import wait_until
from localcloud.state import PROJECT
from tests.container import base, engine, packages, standin
from tests.container.image import DOCKERFILE, MODEL, START_SECONDS, Entry, Function, entries

IMAGE = "localhost/loupe-test:function"


@pytest.fixture(scope="session")
def container_engine() -> engine.Engine:
    installed = engine.find()
    if installed is None:
        pytest.skip("no docker with a running engine, podman or buildah is here")
    return installed


@pytest.fixture(scope="session")
def runner(container_engine: engine.Engine) -> engine.Engine:
    if not container_engine.runs:
        pytest.skip("buildah builds the image but cannot run it read-only: that takes docker or podman")
    return container_engine


@pytest.fixture(scope="session")
def base_image(container_engine: engine.Engine) -> base.Base:
    try:
        return base.prepare(container_engine)
    except (standin.StandInError, CloudError) as error:
        pytest.skip(f"{base.AWS_BASE} cannot be pulled, and there is no stand-in base: {error}")


@pytest.fixture(scope="session")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Build options for access to the package registry of this machine."""
    return packages.mounts(tmp_path_factory.mktemp("pip"))


@pytest.fixture(scope="session")
def image(container_engine: engine.Engine, base_image: base.Base, mounts: dict[Path, str]) -> Iterator[str]:
    """The project's own Dockerfile, unmodified, on the project itself."""
    arguments = {"BASE": base_image.image, "MODEL": MODEL}
    container_engine.build(PROJECT, IMAGE, file=DOCKERFILE, arguments=arguments, mounts=mounts)
    yield IMAGE
    container_engine.remove(IMAGE)


@pytest.fixture(scope="session")
def base_entries(runner: engine.Engine, base_image: base.Base) -> dict[Path, Entry]:
    return entries(runner, base_image.image)


@pytest.fixture(scope="session")
def image_entries(runner: engine.Engine, image: str) -> dict[Path, Entry]:
    return entries(runner, image)


@pytest.fixture(scope="session")
def function(runner: engine.Engine, image: str) -> Iterator[Function]:
    with runner.running(image) as container:
        started = Function(runner, container)
        assert wait_until(started.listens, START_SECONDS), runner.logs(container)
        yield started


@pytest.fixture(scope="session")
def golden_cases() -> list[Golden]:
    return golden(MODEL)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A copy of the build context with no model in it, for a test to add its own."""
    shutil.copytree(PROJECT / "function", tmp_path / "function", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(PROJECT / ".dockerignore", tmp_path / ".dockerignore")
    (tmp_path / "models").mkdir()
    return tmp_path
