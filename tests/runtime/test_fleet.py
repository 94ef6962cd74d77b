"""The fleet: an environment for each request at a time, up to the function's concurrency."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.fleet import Call, Fleet, ThrottlingError
from localcloud.function import Site
from localcloud.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.environment import Outcome

HANDLER = """
import fcntl, os
def handler(event, context):
    if "locked" in event:
        with open(event["locked"]) as file: fcntl.flock(file, fcntl.LOCK_SH)
    if "exit" in event: os._exit(1)
    return {"pid": os.getpid(), "key": os.environ["AWS_ACCESS_KEY_ID"], "greeting": os.environ["GREETING"]}
"""
DEADLINE_SECONDS = 15.0


class Lambda:
    """The calls of the fleet to AWS Lambda."""

    reserved: int | None = 2

    def get_function(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:  # noqa: N803
        return {
            "Code": {"ImageUri": "registry/loupe:tag"},
            "Configuration": {
                "FunctionName": FunctionName,
                "Version": Qualifier,
                "RevisionId": "r1",
                "Role": "arn:aws:iam::000000000000:role/its-own",
                "MemorySize": 512,
                "Timeout": 5,
                "Environment": {"Variables": {"GREETING": f"hello from {Qualifier}"}},
            },
        }

    def get_function_concurrency(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        return {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved}


class Sts:
    """Returns credentials of any role."""

    def assume_role(self, RoleArn: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        name = RoleArn.rpartition("/")[2]
        return {"Credentials": {"AccessKeyId": name, "SecretAccessKey": "s", "SessionToken": "t"}}


class Recorder:
    """A publisher that records its input."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: list[str] = []

    def log(self, group: str, stream: str, lines: Any) -> None:
        self.lines += lines

    def metrics(self, namespace: str, data: Any) -> None:
        self.names += [datum["MetricName"] for datum in data if datum.get("Value")]

    def stop(self) -> None:
        """Does nothing."""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "image" / "tag").mkdir(parents=True)
    (tmp_path / "image" / "tag" / "handler.py").write_text(HANDLER)
    (tmp_path / "image" / "tag.json").write_text('{"command": "handler.handler"}')
    return tmp_path / "image"


Make = Callable[..., Fleet]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make(emulator: Path, images: Path, tmp_path: Path, recorder: Recorder) -> Iterator[Make]:
    fleets: list[Fleet] = []

    def make(service: Lambda | None = None, **options: Any) -> Fleet:
        site = Site("http://127.0.0.1:9", "us-east-1", tmp_path / "tmp")
        logs = tmp_path / "logs"
        fleets.append(Fleet(service or Lambda(), Sts(), recorder, site, images, emulator, logs, **options))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.stop()


def invoke(fleet: Fleet, event: dict[str, Any] | None = None, version: str = "1") -> Outcome:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
    return fleet.invoke(Call("f", version, "r1", arn, json.dumps(event or {}).encode(), str(uuid.uuid4())))


def pid(outcome: Outcome) -> int:
    assert outcome.function_error is None, outcome.payload
    return int(json.loads(outcome.payload)["pid"])


def until(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, DEADLINE_SECONDS), "the condition did not come about in time"


def test_an_environment_serves_one_request_after_another(make: Make) -> None:
    fleet = make()
    assert pid(invoke(fleet)) == pid(invoke(fleet))


def test_concurrent_requests_get_separate_environments_up_to_the_concurrency(
    make: Make, recorder: Recorder, tmp_path: Path
) -> None:
    fleet = make()
    locked = tmp_path / "locked"
    with ThreadPoolExecutor(2) as pool:
        with locked.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            running = [pool.submit(invoke, fleet, {"locked": str(locked)}) for _ in range(2)]
            until(lambda: fleet.status().get("f", {}).get("busy") == 2)
            with pytest.raises(ThrottlingError) as throttled:
                invoke(fleet)
        assert throttled.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert len({pid(future.result()) for future in running}) == 2
    assert "Throttles" in recorder.names
    # By function, by alias, and by the version that the alias executed.
    assert recorder.names.count("Invocations") == 2 * 3
    assert invoke(fleet).function_error is None


def test_a_function_without_a_reserve_is_limited_all_the_same(make: Make) -> None:
    service = Lambda()
    service.reserved = None
    fleet = make(service)
    invoke(fleet)
    assert fleet.status()["f"]["limit"] == 10


def test_each_version_has_its_own_environment(make: Make) -> None:
    fleet = make()
    outcomes = [json.loads(invoke(fleet, version=version).payload) for version in ("1", "2")]
    assert [outcome["greeting"] for outcome in outcomes] == ["hello from 1", "hello from 2"]
    assert outcomes[0]["pid"] != outcomes[1]["pid"]


def test_the_function_runs_under_its_own_role(make: Make) -> None:
    assert json.loads(invoke(make()).payload)["key"] == "its-own"


def test_a_dead_environment_is_replaced(make: Make) -> None:
    fleet = make()
    first = pid(invoke(fleet))
    (emulator,) = fleet.status()["f"]["pids"]
    os.kill(emulator, signal.SIGKILL)
    until(lambda: fleet.status()["f"]["idle"] == 0)
    assert pid(invoke(fleet)) != first


def test_a_crash_is_an_error_of_its_request_alone(make: Make, recorder: Recorder) -> None:
    fleet = make()
    assert invoke(fleet, {"exit": 1}).function_error == "Unhandled"
    assert "Errors" in recorder.names
    assert invoke(fleet).function_error is None


def test_an_idle_environment_is_ended(make: Make) -> None:
    fleet = make(idle_seconds=0.1)
    invoke(fleet)
    until(lambda: fleet.status()["f"]["idle"] == 0)


def test_lines_of_a_request_are_published(make: Make, recorder: Recorder) -> None:
    invoke(make())
    assert [line.split(" ")[0] for line in recorder.lines] == ["START", "END", "REPORT"]
    assert "Init Duration" in recorder.lines[-1]
