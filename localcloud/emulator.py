"""MiniStack and the fleet as processes: start, readiness, end; and the repository of the images."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud import isolation
from localcloud.errors import CloudError
from localcloud.invoke_api import STATUS_PATH, Options
from localcloud.ministack.server import FLEET_URL_VARIABLE
from localcloud.ports import free_port
from localcloud.processes import ProcessRecord, start, stop, wait_until
from localcloud.state import PROJECT, Running, State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localcloud.aws import Account

READY_SECONDS = 60.0
REPOSITORY, AUTHORIZER_REPOSITORY = "loupe", "loupe-authorizer"


def launch(state: State, account: Account, port: int, emulator: Path) -> Running:
    """Start MiniStack on the port, and the fleet; both are recorded in the state as soon as they run."""
    fleet_port = free_port()
    options = Options(
        port=fleet_port,
        endpoint=account.endpoint,
        region=account.region,
        account=account.number,
        images=str(state.images),
        emulator=str(emulator),
        logs=str(state.logs / "environments"),
        temporary=str(state.temporary),
    )
    processes: list[ProcessRecord] = []
    try:
        for name, arguments, variables, children in (
            ("ministack", ["localcloud.ministack.server"], _ministack_variables(state, account, port, fleet_port), ""),
            ("fleet", ["localcloud.invoke_api", json.dumps(asdict(options))], {}, "awslambdaric"),
        ):
            environment = {**account.environment(), "PYTHONPATH": str(PROJECT), **variables}
            command = [sys.executable, "-m", *arguments]
            log = state.logs / f"{name}.log"
            log.unlink(missing_ok=True)
            processes.append(start(name, command, environment, log, state.root, children))
    finally:
        running = Running(port, fleet_port, tuple(processes))
        state.save(running)
    return running


def await_ready(state: State, running: Running) -> None:
    """Wait until both answer.

    Raises
    ------
    CloudError
        If one of them ends, or neither does in a minute.
    """
    for record, url in (
        (running.processes[0], f"http://127.0.0.1:{running.port}/_ministack/ready"),
        (running.processes[1], fleet_status_url(running)),
    ):
        log = state.logs / f"{record.name}.log"
        if not wait_until(partial(_answers_or_ended, url, record), READY_SECONDS):
            raise CloudError(f"{record.name} did not answer within {READY_SECONDS:.0f} s.", log)
        if not record.alive():
            raise CloudError(f"{record.name} ended as it started.", log)


def end(running: Running) -> list[str]:
    """End the fleet, which publishes its remaining metrics, then MiniStack; return the names of live ones."""
    return [record.name for record in reversed(running.processes) if stop(record)]


def check_port(port: int) -> int:
    """The port, or a free one for 0.

    Raises
    ------
    CloudError
        If another program listens there.
    """
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CloudError(
                f"Port {port} is taken by another program: name another with --port, or --port 0 for any that is free."
            ) from error
    return port


def push_images(account: Account, tags: Mapping[str, str]) -> None:
    """Register the staged images in ECR, one tag per repository, as a push would."""
    ecr = account.client("ecr")
    media = "application/vnd.docker.distribution.manifest.v2+json"
    for repository, tag in tags.items():
        with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=repository)
        manifest = {"schemaVersion": 2, "mediaType": media, "annotations": {"loupe.image": tag}}
        with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):
            ecr.put_image(repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest))


def fleet_status(running: Running) -> dict[str, Any]:
    with isolation.opener.open(fleet_status_url(running), timeout=5) as response:
        status: dict[str, Any] = json.load(response)
    return status


def fleet_status_url(running: Running) -> str:
    return f"http://127.0.0.1:{running.fleet_port}{STATUS_PATH}"


def _ministack_variables(state: State, account: Account, port: int, fleet_port: int) -> Mapping[str, str]:
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": account.number,
        "MINISTACK_REGION": account.region,
        # IAM policies are enforced.
        "AUTH": "true",
        # The fleet limits concurrency.
        "LAMBDA_ACCOUNT_CONCURRENCY": "0",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # MiniStack must not use a container engine, even where there is one.
        "DOCKER_HOST": f"unix://{state.root / 'no-docker.sock'}",
        "TMPDIR": str(state.temporary),
        "S3_DATA_DIR": str(state.temporary / "s3"),
        "LOG_LEVEL": os.environ.get("LOUPE_MINISTACK_LOG_LEVEL", "INFO"),
        FLEET_URL_VARIABLE: f"http://127.0.0.1:{fleet_port}",
    }


def _answers_or_ended(url: str, record: ProcessRecord) -> bool:
    return not record.alive() or _answers(url)


def _answers(url: str) -> bool:
    try:
        with isolation.opener.open(url, timeout=2) as response:
            return bool(response.status == http.client.OK)
    except (OSError, http.client.HTTPException):
        return False
