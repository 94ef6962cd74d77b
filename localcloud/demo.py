"""The demonstration: start a cloud, classify a few images over HTTP, and stop it."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import httpx

from localcloud import cloud, models
from localcloud.errors import CloudError
from localcloud.images import ImageFile, check, media_type
from localcloud.settings import effective

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localcloud.cloud import Steps
    from localcloud.state import State

GOLDEN_IMAGES = 2
TIMEOUT_SECONDS = 60.0
_TOTAL = re.compile(r"\btotal;dur=([\d.]+)")


@dataclass(frozen=True)
class Row:
    """One classified image.

    Attributes
    ----------
    expected
        The golden label; None for the user's own image.
    milliseconds, server_milliseconds
        The whole round trip, and the part of it that the function's Server-Timing header accounts for.
    """

    image: str
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
    """Start a cloud on a free port, classify two golden images and optionally another one, and stop it.

    Raises
    ------
    CloudError
        If a step fails; nothing is left running. An image that cannot be classified is rejected before the first step.
    """
    settings_in_force = effective(settings)
    images = [ImageFile(case.path, case.label) for case in models.golden(settings_in_force.model.name)[:GOLDEN_IMAGES]]
    if image is not None:
        images.append(check(image, settings_in_force.inputs))
    if not images:
        raise CloudError(
            f"The model {settings_in_force.model.name!r} has no golden images: name an image with IMAGE= or --image."
        )
    if cloud.status(state)["up"]:
        raise CloudError(f"A demo is up already: `python -m localcloud down --state {state.root}` ends it.")
    try:
        endpoint = cloud.up(state, 0, settings, steps)
        with steps(f"{len(images)} images classified"):
            rows = [_row(endpoint, image) for image in images]
    finally:
        with steps("taken down"):
            cloud.down(state)
    return rows


def _row(endpoint: Mapping[str, Any], image: ImageFile) -> Row:
    headers = {"x-api-key": endpoint["api_key"]} if endpoint["api_key"] else {}
    url = endpoint["url"].rstrip("/")
    # Without a proxy: the endpoint is on this machine.
    with httpx.Client(headers=headers, trust_env=False, timeout=TIMEOUT_SECONDS) as client:
        started = time.perf_counter()
        try:
            response = (_classify if image.direct else _upload_and_classify)(client, url, image.path)
        except httpx.HTTPError as error:
            raise CloudError(f"{image.path} was not classified: {error}.") from error
        milliseconds = (time.perf_counter() - started) * 1000
    if response.is_error:
        raise CloudError(f"{image.path} was not classified: HTTP {response.status_code}, {_detail(response)}")
    result = response.json()
    timing = _TOTAL.search(response.headers.get("Server-Timing", ""))
    return Row(
        image=image.path.name,
        expected=image.expected,
        label=result["label"],
        probability=result["probability"],
        milliseconds=milliseconds,
        server_milliseconds=float(timing.group(1)) if timing else None,
    )


def _classify(client: httpx.Client, url: str, path: Path) -> httpx.Response:
    return client.post(f"{url}/v1/classify", content=path.read_bytes(), headers={"Content-Type": media_type(path)})


def _upload_and_classify(client: httpx.Client, url: str, path: Path) -> httpx.Response:
    place = client.post(f"{url}/v1/uploads")
    if place.is_error:
        return place
    target = place.json()["upload"]
    with path.open("rb") as file, httpx.Client(trust_env=False, timeout=TIMEOUT_SECONDS) as store:
        stored = store.post(target["url"], data=target["fields"], files={"file": (path.name, file)})
    return stored if stored.is_error else client.post(f"{url}/v1/classify", json={"s3": place.json()["s3"]})


def _detail(response: httpx.Response) -> str:
    try:
        problem = response.json()
        return str(problem.get("detail") or problem.get("title") or problem)
    except (ValueError, AttributeError):
        return response.text[:2000]
