"""Requests that once occupied or crashed the function, through the gateway; after each, a good one is served.

Each took longer than the function's timeout, or ended as 5xx: a 4xx is the proof that the work is bounded.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from expect import assert_problem, assert_right

from tests.unit import images as drawings

if TYPE_CHECKING:
    from deployment import Deployed

    from localcloud.models import Golden

SCAN = b"\xff\xda"
JSON = "application/json"


def progressive() -> tuple[bytes, int, int]:
    """A JPEG of a megapixel, and the places of its first and second scan."""
    data = drawings.jpeg(drawings.solid(size=(1000, 1000)), progressive=True)
    first = data.index(SCAN)
    return data, first, data.index(SCAN, first + 2)


def fill_bytes() -> bytes:
    """90 KB of fill bytes behind the first scan: 36 s when every one was tried as the beginning of a marker."""
    data, first, _ = progressive()
    return data[: first + 14] + b"\xff" * 90_000 + b"\0" + SCAN * 200 + data[first + 14 :]


def hidden_scans() -> bytes:
    """4,600 scans behind a reserved marker that no walk over segments finds: 13 s."""
    data, first, second = progressive()
    scan = data[first : first + 14]
    return data[:first] + b"\xff\xdd\0\4\0\1" + scan + b"\xff\x02\xff\xff" + scan * 4600 + data[second:]


def profile_without_end() -> bytes:
    """A PNG whose color profile has a name without an end: IndexError."""
    data = drawings.png()
    return data[:33] + drawings.chunk(b"iCCP", b"no end of a name") + data[33:]


def doubled_keys() -> bytes:
    """356 KB of JSON whose keys are all there twice: 20 s."""
    keys = [f'"{number:06}": 1' for number in range(12_500)]
    return ("{" + ", ".join(keys + keys) + "}").encode()


def nested() -> bytes:
    return b'{"image": ' + b"[" * 500_000


def long_address() -> bytes:
    """A URL of 4 MB: a log line of 12 MB."""
    return json.dumps({"url": "https://" + "a" * 4_000_000}).encode()


def many_parts() -> bytes:
    part = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    return part * 20_000 + b"--B--\r\n"


ATTACKS = {
    "fill bytes": (fill_bytes, "image/jpeg", 422, "image_undecodable"),
    "hidden scans": (hidden_scans, "image/jpeg", 422, "image_undecodable"),
    "doubled keys": (doubled_keys, JSON, 400, "request_invalid"),
    "nested JSON": (nested, JSON, 400, "request_invalid"),
    "long address": (long_address, JSON, 400, "request_invalid"),
    "many parts": (many_parts, "multipart/form-data; boundary=B", 400, "request_invalid"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_request_is_rejected_and_the_next_one_is_served(
    name: str, deployed: Deployed, golden_cases: list[Golden]
) -> None:
    make, content_type, status, code = ATTACKS[name]
    assert_problem(deployed.post("/v1/classify", make(), content_type), status, code)
    assert_right(deployed.classify(golden_cases[0].path.read_bytes()), golden_cases[0])


def test_a_broken_color_profile_is_a_4xx_problem(deployed: Deployed) -> None:
    assert deployed.classify(profile_without_end(), "image/png").status in (200, 422)


def test_hostile_items_of_a_batch_do_not_lose_the_good_ones(deployed: Deployed, golden_cases: list[Golden]) -> None:
    files = [fill_bytes(), golden_cases[0].path.read_bytes(), hidden_scans(), profile_without_end()]
    items = [{"image": base64.b64encode(file).decode()} for file in files]
    response = deployed.post("/v1/classify/batch", json.dumps({"items": items}).encode())
    assert response.status == 200, response.body
    results = response.json["results"]
    assert results[1]["result"]["label"] == golden_cases[0].label
    assert [results[place]["error"]["code"] for place in (0, 2)] == ["image_undecodable"] * 2
    assert results[3].get("error", {}).get("code", "image_undecodable") == "image_undecodable"
