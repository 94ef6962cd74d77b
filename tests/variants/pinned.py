"""Logical IDs, types and physical names of every environment, as committed in ``pinned_resources.json``.

CloudFormation identifies a resource by its logical ID: another ID for the same resource deletes the old one with its
data, or collides with its name. ``python -m tests.variants.pinned`` adds new resources to the file; it never changes or
removes an entry. To do either, edit the file and add the entry to `test_pinned_resources.EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.infra import synthesis
from tests.infra.synthesis import literal, synthesize
from tests.infra.variants import variants

FILE = Path(__file__).with_name("pinned_resources.json")
# Logical IDs that contain a hash of the resource's content: a new one is meant to be a new resource.
_HASHED = re.compile(r"(CurrentVersion[0-9A-F]{8}|Deployment[0-9A-F]{8})[0-9a-f]{32}$")

Pinned = dict[str, str]


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


def synthesize_all() -> dict[str, Pinned]:
    """Return the resources of every variant."""
    return additions(
        {
            name: resources(synthesize(environment, patch, rule_packs=True).template)
            for name, (environment, patch) in variants().items()
        }
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        synthesis.cache = Path(folder)
        write(synthesize_all())
