"""The prediction cache of a deployed function: over HTTP, in batches and in its log."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from deployment import until

if TYPE_CHECKING:
    from deployment import Deployed

    from localcloud.models import Golden


def test_a_repeated_image_is_served_from_the_cache(deployed: Deployed, golden_cases: list[Golden]) -> None:
    image, other = (case.path.read_bytes() for case in golden_cases[:2])
    assert deployed.classify(image).headers["x-cache"] == "off"
    with deployed.released(LOUPE_CACHE_MIB="16"):
        until(lambda: deployed.classify(image).headers["x-cache"] == "miss", 20)
        first = deployed.classify(image)
        # Another execution environment has a separate cache.
        until(lambda: deployed.classify(image).headers["x-cache"] == "hit", 20)
        second = deployed.classify(image)
        assert "model;dur=" not in second.headers["server-timing"]
        assert "cache;dur=" in second.headers["server-timing"]
        assert second.json["scores"] == first.json["scores"]
        items = [{"image": base64.b64encode(data).decode()} for data in (other, other, image, b"no image")]
        batch = deployed.post("/v1/classify/batch", json.dumps({"items": items}).encode())
        results = [item.get("result") for item in batch.json["results"]]
        assert results[0] == results[1] is not None
        assert results[2]["scores"] == first.json["scores"]
        assert batch.json["results"][3]["error"]["code"] == "unsupported_media_type"
