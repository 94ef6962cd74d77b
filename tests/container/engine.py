"""docker, podman or buildah: the first that works here, behind the few operations that these tests need."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("docker", "podman", "buildah")
PROBE_SECONDS = 30
BUILD_SECONDS = 600
RUN_SECONDS = 120
# As Lambda runs an image: nobody in particular, a file system that cannot be written but for /tmp. And no network at
# all: requests reach the function by `exec`, so that no port is opened and a fetch would show.
SANDBOX = (
    "--network=none", "--read-only", "--tmpfs=/tmp", "--user=993:990", "--cap-drop=ALL",
    "--security-opt=no-new-privileges", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096",
)  # fmt: skip


class EngineError(Exception):
    """A command of the engine failed; the message ends with the last lines that it printed."""


@dataclass(frozen=True)
class Engine:
    """A container engine. ``tool`` is its command."""

    tool: str
    version: str

    @property
    def runs(self) -> bool:
        """Whether it can run an image read-only; buildah only builds."""
        return self.tool != "buildah"

    def has(self, image: str) -> bool:
        return _try(self.tool, "inspect", "--type=image", image) is not None

    def pull(self, image: str, seconds: float) -> bool:
        return _try(self.tool, "pull", "--quiet", image, seconds=seconds) is not None

    def build(
        self, context: Path, tag: str, *, file: str, arguments: Mapping[str, str], mounts: Mapping[Path, str]
    ) -> None:
        """Build an image of what is here alone: a base is never pulled.

        Raises
        ------
        EngineError
            If the build fails.
        """
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        # Docker's builds take no mounts: it has to reach the package registry by itself.
        if self.tool != "docker":
            # chroot needs the least of a machine; without layers a build leaves nothing but its image.
            options += ["--isolation=chroot", "--network=host", "--pull=never", "--layers=false", "--format=docker"]
            options += [f"--volume={here}:{there}:ro" for here, there in mounts.items()]
        _run(
            self.tool, "build", *options, "--file", str(context / file), "--tag", tag, str(context),
            seconds=BUILD_SECONDS,
        )  # fmt: skip

    def remove(self, image: str) -> None:
        _try(self.tool, "rmi", "--force", image)

    def run(self, image: str, *command: str, stdin: bytes = b"", sandbox: tuple[str, ...] = SANDBOX) -> bytes:
        """Run a command in place of the entry point, to its end; return what it printed."""
        return _run(
            self.tool, "run", "--rm", "--interactive", *sandbox, f"--entrypoint={command[0]}", image, *command[1:],
            stdin=stdin,
        )  # fmt: skip

    @contextmanager
    def running(self, image: str, *options: str) -> Iterator[str]:
        """The image as it is meant to be started, in the sandbox; gives the container's name, removes it at the end."""
        container = _run(self.tool, "run", "--detach", *SANDBOX, *options, image).decode().strip()
        try:
            yield container
        finally:
            _try(self.tool, "rm", "--force", container)

    def exec(self, container: str, *command: str, stdin: bytes = b"") -> bytes:
        """Run a command beside the container's own process, with its rights."""
        return _run(self.tool, "exec", "--interactive", container, *command, stdin=stdin)

    def archive(self, image: str, folder: str) -> bytes:
        """Return a folder of an image as a tar archive; nothing of the image is run."""
        container = _run(self.tool, "create", image).decode().strip()
        try:
            return _run(self.tool, "cp", f"{container}:{folder}", "-")
        finally:
            _try(self.tool, "rm", "--force", container)

    def logs(self, container: str) -> str:
        done = subprocess.run(
            [self.tool, "logs", container], capture_output=True, text=True, errors="replace", timeout=RUN_SECONDS
        )
        return done.stdout + done.stderr


def find() -> Engine | None:
    """Return the first engine that is there and answers."""
    for tool in TOOLS:
        if shutil.which(tool) and _try(tool, "info", seconds=PROBE_SECONDS) is not None:
            version = re.search(r"\d+(\.\d+)+", _run(tool, "--version").decode())
            return Engine(tool, version[0] if version else "")
    return None


def _run(*command: str, stdin: bytes = b"", seconds: float = RUN_SECONDS) -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=seconds)
    if done.returncode != 0:
        printed = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
        last = "\n".join(printed[-25:])
        raise EngineError(f"{' '.join(command[:2])} ended with {done.returncode}:\n{last}")
    return done.stdout


def _try(*command: str, seconds: float = RUN_SECONDS) -> bytes | None:
    """Return what it printed, or None if it failed, was not there or took too long."""
    try:
        return _run(*command, seconds=seconds)
    except (EngineError, OSError, subprocess.TimeoutExpired):
        return None
