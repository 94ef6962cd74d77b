"""The container engine: installed, running, and able to build for the function's architecture."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.settings import Settings
from tools.doctor.findings import Finding, error, ok, warning

CHECK = "docker"
SECONDS = 20.0
PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


@dataclass(frozen=True)
class Completed:
    """A program that ended: its exit code and what it wrote."""

    code: int
    output: str
    errors: str


# Arguments -> what became of them; None if there is no such program.
Runner = Callable[[Sequence[str]], Completed | None]


def run(arguments: Sequence[str]) -> Completed | None:
    """Run a program for at most `SECONDS`."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except OSError:
        return None
    except subprocess.TimeoutExpired:
        return Completed(-1, "", f"no answer within {SECONDS:g} s")
    return Completed(done.returncode, done.stdout, done.stderr)


def needed(settings: Settings) -> bool:
    """Whether a deployment builds an image."""
    jwt = settings.auth.jwt
    return settings.image.source == "asset" or (jwt is not None and jwt.image is None)


def check(settings: Settings, runner: Runner, program: str) -> Iterator[Finding]:
    """Check the engine. ``program`` is what the CDK runs: ``docker``, or the value of ``CDK_DOCKER``."""
    if not needed(settings):
        yield ok(CHECK, "No image is built: image.source is 'ecr'.")
        return
    version = runner([program, "version", "--format", "{{json .}}"])
    if version is None:
        yield error(
            CHECK,
            f"There is no program {program!r}, and the deployment builds a container image.",
            "Install Docker, name another engine in CDK_DOCKER, or deploy an image from ECR (image.source).",
        )
        return
    platform = _platform(version)
    if platform is None:
        reason = next(iter((version.errors or version.output).strip().splitlines()), "it gave no reason").strip()
        yield error(
            CHECK,
            f"The container engine does not answer: {reason}{'' if reason.endswith(('.', '?', '!')) else '.'}",
            "Start it (Docker Desktop, or systemctl start docker), and be allowed to use it.",
        )
        return
    expected = PLATFORMS[settings.function.architecture]
    if platform == expected:
        yield ok(CHECK, f"{program} is running and builds for {expected}.")
        return
    yield _emulated(expected, platform, runner, program)


def _platform(version: Completed) -> str | None:
    """The platform that an engine runs on, from its JSON; Podman has no server to name."""
    if version.code != 0:
        return None
    try:
        response: Any = json.loads(version.output)
    except ValueError:
        return None
    if not isinstance(response, dict):
        return None
    server = response.get("Server") or {}
    if server.get("Os") and server.get("Arch"):
        return f"{server['Os']}/{server['Arch']}"
    client = response.get("Client") or {}
    return str(client["OsArch"]) if "OsArch" in client and "Server" not in response else None


def _emulated(expected: str, platform: str, runner: Runner, program: str) -> Finding:
    builder = runner([program, "buildx", "inspect"])
    lines = builder.output.splitlines() if builder is not None and builder.code == 0 else []
    platforms = {
        item.strip().rstrip("*")
        for line in lines
        if line.strip().startswith("Platforms:")
        for item in line.partition(":")[2].split(",")
    }
    platform_name = expected.partition("/")[2]
    action = f"Install the emulator: {program} run --privileged --rm tonistiigi/binfmt --install {platform_name}"
    if expected in platforms:
        return warning(CHECK, f"The engine runs on {platform} and emulates {expected}: builds are slow.", "Be patient.")
    if not platforms:
        return warning(
            CHECK, f"The engine runs on {platform}; whether it can build for {expected} is not known.", action
        )
    return error(CHECK, f"The engine runs on {platform} and cannot build for {expected}.", action)
