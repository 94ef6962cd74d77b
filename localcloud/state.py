"""The folder of one local cloud, and its state between commands."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localcloud.errors import CloudError
from localcloud.processes import ProcessRecord

PROJECT = Path(__file__).resolve().parent.parent
TOOLS = PROJECT / ".local" / "tools"
EMULATED_MACHINES = ("x86_64", "aarch64", "arm64")


@dataclass(frozen=True)
class State:
    """The folder of one local cloud. Clouds with different folders are independent."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def images(self) -> Path:
        return self.root / "image"

    @property
    def assembly(self) -> Path:
        return self.root / "cdk.out"

    @property
    def endpoint(self) -> Path:
        return self.root / "endpoint.json"

    @property
    def pins(self) -> Path:
        """Folder of the pin that a rollback of this cloud writes; those of AWS are in the repository."""
        return self.root / "pins"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def _running(self) -> Path:
        return self.root / "running.json"

    def prepare(self) -> None:
        for folder in (self.root, self.logs, self.images, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)

    def save(self, running: Running) -> None:
        _write_json(self._running, asdict(running))

    def running(self) -> Running | None:
        """The processes that an earlier command started and did not end, alive or not."""
        try:
            data = json.loads(self._running.read_text(encoding="utf-8"))
            return Running(
                port=int(data["port"]),
                fleet_port=int(data["fleet_port"]),
                processes=tuple(ProcessRecord(**record) for record in data["processes"]),
            )
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise CloudError(
                f"{self._running} is not as this program wrote it ({error}): end its processes by hand and remove it."
            ) from error

    def forget(self) -> None:
        self._running.unlink(missing_ok=True)
        self.endpoint.unlink(missing_ok=True)

    def write_endpoint(self, endpoint: dict[str, Any]) -> None:
        _write_json(self.endpoint, endpoint)

    def read_endpoint(self) -> dict[str, Any]:
        """Raises CloudError if nothing has been deployed here."""
        try:
            endpoint: dict[str, Any] = json.loads(self.endpoint.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CloudError(f"No local cloud is up in {self.root}: `make up` starts one.") from error
        return endpoint


@dataclass(frozen=True)
class Running:
    """The processes of a local cloud and the ports they listen on."""

    port: int
    fleet_port: int
    processes: tuple[ProcessRecord, ...]

    def alive(self) -> bool:
        return all(record.alive() for record in self.processes)


def runtime_emulator() -> Path:
    """The Lambda Runtime Interface Emulator for this machine.

    Raises
    ------
    CloudError
        If this machine is not one it is built for, or `make setup` has not installed it.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in EMULATED_MACHINES:
        raise CloudError(
            "The local cloud needs Linux on x86_64 or arm64, for which the Lambda runtime emulator is built; "
            f"this is {platform.system()} on {machine}. (On macOS and Windows: a Linux VM, WSL 2 or a container.)"
        )
    path = TOOLS / "aws-lambda-rie"
    if not os.access(path, os.X_OK):
        raise CloudError(f"The Lambda runtime emulator is not at {path}: run `make setup`.")
    return path


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
