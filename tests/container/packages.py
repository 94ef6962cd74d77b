"""Access of pip to this machine's package registry, passed into a build without changing the Dockerfile.

A machine may have its own index, certificate authority or wheel folder. The build gets pip's present settings as
/etc/pip.conf, and the files that they name at the same paths: mounted for the build, never part of the image.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

# Variables with a certificate authority for other programs; pip reads some, and has a separate setting.
CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# What concerns this machine's own installs.
OWN = {"target", "user", "prefix", "root", "require-virtualenv", "python", "log", "cache-dir"}
_LINE = re.compile(r"^(?P<section>[^.=]+)\.(?P<key>[^=]+)=(?P<value>'.*'|\".*\")$")


def settings() -> dict[str, str]:
    """pip's settings as `pip config list` merges them: files first, variables last."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    matches = sorted(filter(None, map(_LINE.match, listed.splitlines())), key=lambda match: match["section"] == ":env:")
    values = {match["key"].strip(".").replace("_", "-"): ast.literal_eval(match["value"]) for match in matches}
    certificate = next((os.environ[name] for name in CERTIFICATES if os.environ.get(name)), None)
    if certificate is not None:
        values.setdefault("cert", certificate)
    return {key: value for key, value in values.items() if key not in OWN}


def mounts(folder: Path) -> dict[Path, str]:
    """Write pip.conf into the folder; return what a build mounts, read-only: path here to path there."""
    values = settings()
    if not values:
        return {}
    parser = configparser.RawConfigParser()
    parser["global"] = {key: value.replace("\n", "\n\t") for key, value in values.items()}
    with (folder / "pip.conf").open("w", encoding="utf-8") as stream:
        parser.write(stream)
    local = {path: str(path) for key, value in values.items() for path in _named(key, value)}
    return {folder / "pip.conf": "/etc/pip.conf", **local}


def _named(key: str, value: str) -> Iterator[Path]:
    for word in map(urlsplit, value.split()):
        path = Path(word.path)
        if word.scheme in {"", "file"} and path.is_absolute() and path.exists():
            # The pages of an index in a folder link to files beside it.
            yield path.parent if key.endswith("index-url") and path.parent != Path("/") else path
