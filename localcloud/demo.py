"""The demonstration: a cloud from nothing, a few pictures classified over HTTP, and the cloud gone again."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from localcloud import cloud, models
from localcloud.errors import CloudError
from localcloud.settings import effective

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localcloud.cloud import Steps
    from localcloud.state import State

GOLDEN_PICTURES = 2
_TOTAL = re.compile(r"\btotal;dur=([\d.]+)")


@dataclass(frozen=True)
class Row:
    """One classified picture.

    Attributes
    ----------
    expected
        The golden label; None for a person's own picture.
    milliseconds, server_milliseconds
        The whole round trip, and the part of it that the function's Server-Timing header accounts for.
    """

    picture: str
    expected: str | None
    label: str
    probability: float
    milliseconds: float
    server_milliseconds: float | None

    @property
    def right(self) -> bool:
        return self.expected in (None, self.label)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "right": self.right}


def run(state: State, image: Path | None, settings: Mapping[str, Any], steps: Steps) -> list[Row]:
    """Bring a cloud up on a free port, classify two golden pictures and perhaps another, take it down.

    Raises
    ------
    CloudError
        If a step fails; nothing is left running.
    """
    pictures: list[tuple[Path, str | None]] = [
        (case.path, case.label) for case in models.golden(effective(settings).model.name)[:GOLDEN_PICTURES]
    ]
    if image is not None:
        media_type(image)
        pictures.append((image, None))
    if cloud.status(state)["up"]:
        raise CloudError(f"A demo is up already: `python -m localcloud down --state {state.root}` ends it.")
    try:
        endpoint = cloud.up(state, 0, settings, steps)
        with steps(f"{len(pictures)} pictures classified"):
            rows = [_row(endpoint, path, expected) for path, expected in pictures]
    finally:
        with steps("taken down"):
            cloud.down(state)
    return rows


def media_type(path: Path) -> str:
    """The picture's media type by its first bytes.

    Raises
    ------
    CloudError
        If there is no such file, or it is none of the formats that the endpoint takes.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise CloudError(f"{path} cannot be read: {error.strerror}.") from error
    if start.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    raise CloudError(f"{path} is not a picture: a JPEG, a PNG or a WebP file is needed.")


def _row(endpoint: Mapping[str, Any], path: Path, expected: str | None) -> Row:
    headers = {"Content-Type": media_type(path)}
    if endpoint["api_key"]:
        headers["x-api-key"] = endpoint["api_key"]
    request = urllib.request.Request(f"{endpoint['url']}/v1/classify", path.read_bytes(), headers, method="POST")  # noqa: S310 - as above
    begun = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - http, written here
            result = json.load(answer)
            timing = _TOTAL.search(answer.headers.get("Server-Timing", ""))
    except urllib.error.HTTPError as error:
        raise CloudError(f"{path} was not classified: HTTP {error.code}, {_detail(error)}") from error
    except (OSError, http.client.HTTPException) as error:
        raise CloudError(f"{path} was not classified: {error}.") from error
    return Row(
        picture=path.name,
        expected=expected,
        label=result["label"],
        probability=result["probability"],
        milliseconds=(time.perf_counter() - begun) * 1000,
        server_milliseconds=float(timing.group(1)) if timing else None,
    )


def _detail(error: urllib.error.HTTPError) -> str:
    body = error.read(2000)
    try:
        problem = json.loads(body)
        return str(problem.get("detail") or problem.get("title") or problem)
    except (ValueError, AttributeError):
        return body.decode(errors="replace")
