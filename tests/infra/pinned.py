"""Logical IDs, types and physical names of every environment, as committed in ``pinned_resources.json``.

CloudFormation identifies a resource by its logical ID: another ID for the same resource deletes the old one with its
data, or collides with its name. ``python tests/infra/pinned.py`` adds new resources to the file; it never changes or
removes an entry. To do either, edit the file and add the entry to `test_pinned_resources.EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synthesis import ENVIRONMENTS, literal, synthesize
from transitions import SETTINGS

FILE = Path(__file__).with_name("pinned_resources.json")
# Resources that neither an environment of cdk.json nor `transitions.SETTINGS` has.
MORE_SETTINGS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "given pool": (
        "dev",
        {
            "auth": {
                "mode": "cognito",
                "cognito": {
                    "user_pool_arn": "arn:aws:cognito-idp:eu-central-1:111122223333:userpool/eu-central-1_AbCdEfGhI"
                },
            }
        },
    ),
    "networks, countries, tracing, locations": (
        "dev",
        {
            "firewall": {
                "enabled": True,
                "blocked_networks": ["198.51.100.0/24", "2001:db8::/32"],
                "trusted_networks": ["203.0.113.0/24"],
                "allowed_countries": ["DE"],
            },
            "function": {"trace_sampling": {}},
            "inputs": {"s3": {"locations": ["pictures", "other/a/"]}},
            "alarms": {"subscriptions": ["team@example.com"]},
        },
    ),
    "budget": ("dev", {"alarms": {"budget": {"monthly_usd": 100}}}),
}
# Logical IDs that contain a hash of the resource's content: a new one is meant to be a new resource.
_HASHED = re.compile(r"(CurrentVersion[0-9A-F]{8}|Deployment[0-9A-F]{8})[0-9a-f]{32}$")

Pinned = dict[str, str]


def variants() -> dict[str, tuple[str, dict[str, Any] | None]]:
    """Return environment and patch by name: environments first, then settings over one."""
    return {
        **{environment: (environment, None) for environment in ENVIRONMENTS},
        **{f"prod, {name}": ("prod", dict(patch)) for name, patch in SETTINGS.items() if patch},
        **{f"{environment}, {name}": (environment, patch) for name, (environment, patch) in MORE_SETTINGS.items()},
    }


def resources(template: Mapping[str, Any]) -> Pinned:
    """Return type and physical names by logical ID."""
    return {
        _HASHED.sub(r"\1<hash>", logical_id): " ".join([resource["Type"], *_names(resource.get("Properties", {}))])
        for logical_id, resource in template["Resources"].items()
    }


def _names(properties: Mapping[str, Any]) -> list[str]:
    """Names that the template gives, not those that CloudFormation makes or refers to."""
    nested = properties.get("SamplingRule", {})
    named = {key: literal(value) for key, value in {**properties, **nested}.items()}
    return [f"{key}={named[key]}" for key in sorted(named) if key.endswith("Name") and isinstance(named[key], str)]


def additions(synthesized: Mapping[str, Pinned]) -> dict[str, Pinned]:
    """Leave out of each variant what its environment has."""
    return {
        name: {
            key: value
            for key, value in synthesized[name].items()
            if name == base or synthesized[base].get(key) != value
        }
        for name, (base, _) in variants().items()
    }


def read() -> dict[str, Pinned]:
    """Read the committed file."""
    return dict(json.loads(FILE.read_text(encoding="utf-8")))


def write(synthesized: Mapping[str, Pinned]) -> None:
    """Add what is not in the file yet."""
    pinned = read() if FILE.exists() else {}
    merged = {name: dict(sorted({**items, **pinned.get(name, {})}.items())) for name, items in synthesized.items()}
    FILE.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")


def synthesize_all(template: Callable[[str, dict[str, Any] | None], Mapping[str, Any]]) -> dict[str, Pinned]:
    """Return the resources of every variant; ``template`` synthesizes an environment with a patch."""
    return additions(
        {name: resources(template(environment, patch)) for name, (environment, patch) in variants().items()}
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write(synthesize_all(lambda *settings: synthesize(Path(tempfile.mkdtemp(dir=folder)), *settings).template))
