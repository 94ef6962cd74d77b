"""Start a local cloud until its endpoint is healthy, and stop it."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
import urllib.error
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from localcloud import emulator, isolation, omissions, stage
from localcloud.aws import Account
from localcloud.deploy import Deployer, command_line
from localcloud.errors import CloudError
from localcloud.processes import wait_until
from localcloud.settings import ENVIRONMENT, compose, effective
from localcloud.state import PROJECT, Running, State, runtime_emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REGION = "us-east-1"
HEALTH_SECONDS = 15.0


@dataclass
class Steps:
    """Reports each step and its duration."""

    report: Callable[[str, float], None]

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.report(what, time.monotonic() - started)


def up(
    state: State,
    port: int,
    settings: Mapping[str, Any],
    steps: Steps,
    *,
    deployed: Callable[[Account], None] = lambda _: None,
) -> dict[str, Any]:
    """Start what is not running, deploy, and return the content of endpoint.json.

    A cloud that this call started is removed after a failure or Ctrl-C; one that was running before stays.

    Parameters
    ----------
    port
        Of MiniStack; 0 for a free one. A cloud that is up keeps its port.
    settings
        Merged over environment ``local`` of cdk.json.
    deployed
        Called between the deployment of the stack and the wait for a healthy endpoint.

    Raises
    ------
    CloudError
        With a sentence that says what to do.
    """
    emulator_binary = runtime_emulator()
    command_line()
    settings_in_force = effective(settings)
    state.prepare()
    with _command_lock(state), ExitStack() as undo:
        running = _still_running(state)
        fresh = running is None
        account = Account(f"http://127.0.0.1:{running.port if running else emulator.check_port(port)}", REGION)
        deployer = Deployer(state, account)
        with steps("image staged"):
            # An image is named by its content: what has changed is deployed, and nothing else.
            tags = {emulator.REPOSITORY: stage.stage(PROJECT, settings_in_force.packaged, state.images).tag}
            present: dict[str, Any] = {"image": {"tag": tags[emulator.REPOSITORY]}}
            if settings_in_force.auth.mode == "jwt":
                tag = tags[emulator.AUTHORIZER_REPOSITORY] = stage.stage_authorizer(PROJECT, state.images).tag
                present["auth"] = {"jwt": {"image": {"repository": emulator.AUTHORIZER_REPOSITORY, "tag": tag}}}
        synth = deployer.synth(compose(settings, present))
        undo.callback(synth.kill)
        if running is None:
            with steps("MiniStack and the function fleet started"):
                undo.callback(_end, state)
                running = emulator.launch(state, account, urlsplit(account.endpoint).port or 0, emulator_binary)
                emulator.await_ready(state, running)
            with steps("account bootstrapped"):
                bootstrap = deployer.bootstrap()
                undo.callback(bootstrap.kill)
                emulator.push_images(account, tags)
                bootstrap.wait()
        else:
            emulator.push_images(account, tags)
        with steps("stack synthesized"):
            synth.wait()
        with steps("stack deployed"):
            deploy = deployer.deploy()
            undo.callback(deploy.kill)
            deploy.wait()
            omissions.complete(account, state.assembly)
            deployed(account)
        endpoint = _describe(account, deployer.outputs())
        with steps("endpoint healthy"):
            _await_health(state, running, endpoint["url"])
        state.write_endpoint(endpoint)
        undo.pop_all()
        if fresh:
            stage.remove_others(state.images, tags.values())
        return endpoint


def down(state: State) -> list[str]:
    """Stop the processes that `up` started; return the names of those that were alive."""
    state.prepare()
    with _command_lock(state):
        return _end(state)


def status(state: State) -> dict[str, Any]:
    """Return the running processes, their ports and the state of the fleet."""
    running = state.running()
    if running is None:
        return {"up": False, "state": str(state.root), "processes": []}
    processes = [{"name": p.name, "pid": p.pid, "alive": p.alive()} for p in running.processes]
    alive = running.alive()
    result: dict[str, Any] = {"up": alive, "state": str(state.root), "port": running.port, "processes": processes}
    if alive:
        result["fleet"] = emulator.fleet_status(running)
        if state.endpoint.exists():
            result["endpoint"] = state.read_endpoint()
    return result


def _still_running(state: State) -> Running | None:
    """Return the cloud of an earlier `up` if all its processes are alive; an incomplete one is removed."""
    running = state.running()
    if running is not None and not running.alive():
        _end(state)
        return None
    return running


def _end(state: State) -> list[str]:
    running = state.running()
    ended = emulator.end(running) if running is not None else []
    state.forget()
    shutil.rmtree(state.temporary, ignore_errors=True)
    # The versions that a pin names are gone.
    shutil.rmtree(state.pins, ignore_errors=True)
    return ended


def _describe(account: Account, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Return what a client needs. Locally, the host of an API is a path of MiniStack."""
    url = urlsplit(outputs["Url"])
    api, stage_name = (url.hostname or "").partition(".")[0], url.path.strip("/")
    key = None
    if key_id := outputs.get("ApiKeyId"):
        key = account.client("apigateway").get_api_key(apiKey=key_id, includeValue=True)["value"]
    return {
        "url": f"{account.endpoint}/_aws/execute-api/{api}/{stage_name}/",
        "api_key": key,
        "environment": ENVIRONMENT,
        "aws_endpoint": account.endpoint,
        "account": account.number,
        "region": account.region,
        "outputs": dict(outputs),
    }


def _await_health(state: State, running: Running, url: str) -> None:
    last = {"response": "no response"}

    def healthy() -> bool:
        try:
            with isolation.opener.open(f"{url}v1/health", timeout=10) as response:
                return bool(json.load(response)["status"] == "ok")
        except urllib.error.HTTPError as error:
            last["response"] = f"HTTP {error.code} {error.read(200).decode(errors='replace')}"
        except (OSError, ValueError, KeyError) as error:
            last["response"] = str(error)
        return False

    if not wait_until(healthy, HEALTH_SECONDS, interval=0.2):
        errors = [pool["last_error"] for pool in emulator.fleet_status(running)["functions"].values()]
        why = next((error for error in errors if error), last["response"])
        raise CloudError(f"The endpoint is deployed but not healthy: {why}", state.logs / "fleet.log")


@contextmanager
def _command_lock(state: State) -> Iterator[None]:
    """Let only one command at a time change a local cloud."""
    with (state.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CloudError(f"Another command is at work on the local cloud in {state.root}.") from error
        yield
