"""The project's handler in the real Lambda runtime emulator, without a cloud around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from localcloud import stage
from localcloud.environment import ExecutionEnvironment, Launch
from localcloud.errors import CloudError
from localcloud.function import FunctionVersion, Site, process_variables
from localcloud.models import Golden, golden
from localcloud.state import PROJECT, runtime_emulator

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.stage import Image

MODEL = "hair-type"
CREDENTIALS = {"AccessKeyId": "AKIA", "SecretAccessKey": "none", "SessionToken": "none"}
Start = Callable[..., ExecutionEnvironment]


@pytest.fixture(scope="session")
def emulator() -> Path:
    try:
        return runtime_emulator()
    except CloudError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return stage.stage(PROJECT, [MODEL], tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def golden_cases() -> list[Golden]:
    return golden(MODEL)


@pytest.fixture(scope="session")
def start(emulator: Path, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start an execution environment of the staged image, or of another task root; all end with the session."""
    started: list[ExecutionEnvironment] = []

    def start(
        task_root: Path = image.folder,
        timeout_seconds: int = 15,
        variables: dict[str, str] | None = None,
        command: str = image.command,
    ) -> ExecutionEnvironment:
        folder = tmp_path_factory.mktemp("environment")
        function = FunctionVersion(
            name="loupe-test",
            version="7",
            revision="",
            role="",
            image_tag=image.tag,
            command=None,
            memory_mib=1769,
            timeout_seconds=timeout_seconds,
            variables={"LOUPE_MODEL": MODEL, **(variables or {})},
            log_group="/aws/lambda/loupe-test",
        )
        site = Site("http://127.0.0.1:9", "us-east-1", folder)
        environment = process_variables(function, site, task_root, command, "stream", CREDENTIALS)
        launch = Launch(emulator, task_root, command, environment, timeout_seconds, folder / "emulator.log")
        started.append(ExecutionEnvironment(launch))
        return started[-1]

    yield start
    for environment in started:
        environment.end()


@pytest.fixture(scope="session")
def warm(start: Start) -> ExecutionEnvironment:
    """An environment that has served one request."""
    environment = start()
    environment.invoke(b'{"image": ""}', "first")
    return environment
