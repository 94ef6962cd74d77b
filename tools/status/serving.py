"""What serves: the stack, the alias and its versions, the last deployment, the endpoint's own answer."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from infra.pins import PinError, read_pin
from tools.doctor.aws import Aws, CallError
from tools.operations.alias import provisioned_configs, read_alias, repair_command
from tools.operations.deployments import deployments, describe
from tools.operations.stack import Stack
from tools.operations.target import Target
from tools.status.items import Item, State

HEALTH_SECONDS = 10.0
_MAX_HEALTH_BYTES = 64 * 1024


def stack_state(_: Target, stack: Stack) -> Iterator[Item]:
    """Report the state of the stack, and when it was last changed."""
    values = {"stack": stack.name, "status": stack.status, "changed": _iso(stack.changed), "reason": stack.reason}
    text = f"{stack.name} {stack.status}{ago(stack.changed)}"
    if "ROLLBACK" in stack.status or stack.status.endswith("_FAILED"):
        # After UPDATE_ROLLBACK_COMPLETE the last deployment failed, and what was there before serves.
        action = f"aws cloudformation describe-stack-events --stack-name {stack.name} --max-items 30"
        yield Item("stack", State.wrong, f"{text}: {stack.reason}".rstrip(": "), action, values)
    else:
        yield Item("stack", State.note if stack.status.endswith("_IN_PROGRESS") else State.ok, text, values=values)


def alias_state(target: Target, stack: Stack) -> Iterator[Item]:
    """Report which version serves, the weights of a shift, and a pin."""
    alias = read_alias(target.aws, stack)
    versions = {version: _version(target.aws, alias.function, version) for version in (alias.version, *alias.weights)}
    texts = [f"version {alias.version}{_label(versions[alias.version])}"]
    texts += [
        f"{weight:.0%} on version {version}{_label(versions[version])}" for version, weight in alias.weights.items()
    ]
    text = f"{alias.name}: {', '.join(texts)}"
    values = {
        "alias": alias.name,
        "version": alias.version,
        "weights": dict(alias.weights),
        "stack_version": stack.version,
        "versions": versions,
    }
    try:
        pin = read_pin(target.environment, target.pins)
    except PinError as error:
        yield Item("pin", State.wrong, str(error))
        pin = None
    if alias.weights and not any(deployment.unfinished for deployment in deployments(target.aws, stack)):
        yield Item("alias", State.wrong, f"{text}, without a deployment", repair_command(alias), values)
    elif pin is not None and (pin.version != alias.version or alias.weights):
        action = f"make rollback ENV={target.environment} VERSION={pin.version}"
        yield Item("alias", State.wrong, f"{text}, but the pin says version {pin.version}", action, values)
    elif alias.weights or stack.version in (None, alias.version) or pin is not None:
        yield Item("alias", State.note if alias.weights else State.ok, text, values=values)
    elif stack.status.endswith("_IN_PROGRESS"):
        yield Item("alias", State.note, f"{text}; version {stack.version} is being deployed", values=values)
    else:
        action = f"make doctor ENV={target.environment}"
        text = f"{text}; the stack deployed version {stack.version}, and no pin says why"
        yield Item("alias", State.wrong, text, action, values)
    if pin is not None:
        yield Item("pin", State.note, pin.sentence(), values=pin.to_dict())


def last_deployment(target: Target, stack: Stack) -> Iterator[Item]:
    """Report the last deployment of CodeDeploy, where the stack releases with it."""
    for deployment in deployments(target.aws, stack):
        values = {**deployment._asdict(), "begun": _iso(deployment.begun)}
        text = f"{deployment.id} {deployment.status}{ago(deployment.begun)}"
        if deployment.status in ("Failed", "Stopped"):
            action = f"aws deploy get-deployment --deployment-id {deployment.id}"
            yield Item("deployment", State.wrong, f"{text}: {deployment.error}".rstrip(": "), action, values)
        elif deployment.rolls_back:
            failed = describe(target.aws, deployment.rolls_back)
            action = f"aws deploy get-deployment --deployment-id {failed.id}"
            text = f"{failed.id} {failed.status}{ago(failed.begun)}: {failed.error}".rstrip(": ")
            yield Item("deployment", State.wrong, f"{text}; rolled back by {deployment.id}", action, values)
        else:
            yield Item("deployment", State.note if deployment.unfinished else State.ok, text, values=values)


def health(target: Target, stack: Stack) -> Iterator[Item]:
    """Report what ``GET /v1/health`` answers, which needs no key: the model, and the milliseconds from here."""
    url = f"{(target.url or stack.outputs['Url']).rstrip('/')}/v1/health"
    started = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_SECONDS) as response:  # noqa: S310 - the stack's own output
            model = json.loads(response.read(_MAX_HEALTH_BYTES))["model"]
            name = f"{model['name']} {model['version']} {model.get('variant', '')}".rstrip()
    except urllib.error.HTTPError as error:
        # Answered by the service or its gateway. With an IP allow-list, 403 is what others get.
        state = State.unknown if error.code == 403 else State.wrong
        yield Item("health", state, f"{url} gives HTTP {error.code}", f"make logs ENV={target.environment} LEVEL=ERROR")
    except (OSError, ValueError, KeyError, TypeError) as error:
        # A private endpoint cannot be reached from everywhere, so this alone is not a fault.
        yield Item("health", State.unknown, f"{url} was not reached from here ({type(error).__name__}: {error})")
    else:
        milliseconds = (time.monotonic() - started) * 1e3
        values = {"url": url, "model": model, "milliseconds": round(milliseconds, 1)}
        yield Item("health", State.ok, f"serves {name}; answered in {milliseconds:.0f} ms", values=values)


def provisioned(target: Target, stack: Stack) -> Iterator[Item]:
    """Report provisioned concurrency, where there is any."""
    for qualifier, config in provisioned_configs(target.aws, stack.function).items():
        status, requested = str(config["Status"]), int(config["RequestedProvisionedConcurrentExecutions"])
        available = int(config.get("AvailableProvisionedConcurrentExecutions", 0))
        text = f"{available} of {requested} environments of {qualifier} are ready ({status})"
        values = {"qualifier": qualifier, "status": status, "requested": requested, "available": available}
        if status == "FAILED":
            reason = config.get("StatusReason") or "no reason was given"
            action = f"make logs ENV={target.environment} LEVEL=ERROR"
            yield Item("provisioned", State.wrong, f"{text}: {reason}", action, values)
        else:
            yield Item("provisioned", State.ok if status == "READY" else State.note, text, values=values)


def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was, with a space before it; empty for None."""
    if moment is None:
        return ""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f" {seconds // size} {unit} ago"
    return f" {seconds} s ago"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _version(aws: Aws, function: str, version: str) -> dict[str, Any]:
    """Return model and publication of a version; nothing where it may not be read."""
    try:
        it = aws.call("lambda", "get_function_configuration", FunctionName=function, Qualifier=version)
    except CallError as failure:
        if failure.no_identity:
            raise
        return {}
    variables = (it.get("Environment") or {}).get("Variables") or {}
    return {"model": variables.get("LOUPE_MODEL"), "published": it.get("LastModified"), "state": it.get("State")}


def _label(version: dict[str, Any]) -> str:
    published = str(version.get("published") or "")[:16]
    details = [text for text in (version.get("model"), f"of {published}Z" if published else "") if text]
    if version.get("state") not in (None, "Active"):
        details.append(str(version["state"]))
    return f" ({' '.join(details)})" if details else ""
