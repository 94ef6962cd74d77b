"""The software bill of materials of an image: CycloneDX 1.6, with its packages of Python and of the base image.

The image itself carries none: an attested image is an OCI index, which Lambda does not run.
Sources: CycloneDX 1.6 JSON schema; package-url specification (types ``pypi``, ``rpm``, ``deb``).
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from tools.delivery.builds import Build
from tools.delivery.errors import DeliveryError

# Name and version of every distribution on the path, and its metadata's licence expression.
_PYTHON = """
import importlib.metadata, json, os, sys
sys.path.append(os.environ.get("LAMBDA_TASK_ROOT", "."))
packages = importlib.metadata.distributions()
rows = {(d.metadata["Name"], d.version, d.metadata.get("License-Expression") or "") for d in packages}
print(json.dumps(sorted(row for row in rows if row[0])))
"""
_RPM = ("rpm", "-qa", "--qf", "%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\n")
_DEB = ("dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}\\n")


class Reader(Protocol):
    """The container engine, as far as a bill of materials needs it."""

    def read(self, tag: str, *command: str) -> str: ...


@dataclass(frozen=True, order=True)
class Component:
    """One package.

    Attributes
    ----------
    url
        Its package URL.
    license
        SPDX expression; empty if the package states none.
    """

    name: str
    version: str
    url: str
    license: str = ""

    def to_dict(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "type": "library",
            "bom-ref": self.url,
            "name": self.name,
            "version": self.version,
            "purl": self.url,
        }
        return entry | ({"licenses": [{"expression": self.license}]} if self.license else {})


def components(build: Build, engine: Reader) -> list[Component]:
    """List the packages of an image by running its own package managers.

    Raises
    ------
    DeliveryError
        If the image has no package manager that this function knows.
    """
    tag = build.local_tag
    rows = json.loads(engine.read(tag, "python", "-B", "-c", _PYTHON))
    python = [
        Component(name, version, _url("pypi", _normal(name), version), licence) for name, version, licence in rows
    ]
    return sorted({*python, *_system(tag, engine)})


def document(build: Build, packages: Iterable[Component], base: str) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    base
        Reference of the base image, with its digest where it is locked.
    """
    image = f"pkg:oci/loupe-{build.name}@{build.commit}"
    entries = [component.to_dict() for component in packages]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": f"loupe-{build.name}",
                "version": build.commit,
                "properties": [{"name": "loupe:base-image", "value": base}],
            },
        },
        "components": entries,
        "dependencies": [{"ref": image, "dependsOn": [entry["bom-ref"] for entry in entries]}],
    }


def _system(tag: str, engine: Reader) -> Iterable[Component]:
    failures = []
    for command, kind, vendor in ((_RPM, "rpm", "amzn"), (_DEB, "deb", "debian")):
        try:
            lines = engine.read(tag, *command).splitlines()
        except DeliveryError as error:
            failures.append(str(error))
            continue
        rows = [line.split("\t") for line in lines if line.strip()]
        if not rows:
            failures.append(f"{command[0]} lists no package")
            continue
        return [
            Component(name, version, f"{_url(f'{kind}/{vendor}', name, version)}?arch={quote(architecture)}")
            for name, version, architecture in rows
        ]
    raise DeliveryError(f"The packages of {tag} cannot be listed: {'; '.join(failures)}")


def _url(kind: str, name: str, version: str) -> str:
    return f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe=':')}"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
