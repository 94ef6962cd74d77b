"""The endpoint's URL ends with a slash wherever it is written, so that a route can be appended."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

from deployment import send

if TYPE_CHECKING:
    from deployment import Deployed


def test_a_route_is_appended_to_the_written_url(deployed: Deployed) -> None:
    written = json.loads(deployed.state.endpoint.read_text("utf-8"))["url"]
    assert written.endswith("/live/")
    assert deployed.outputs["Url"].endswith("/live/")
    assert send(urllib.request.Request(f"{written}v1/health")).status == 200
