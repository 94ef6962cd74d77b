"""The image as it is started: not as root, on a file system that cannot be written, with no network."""

from __future__ import annotations

import json

import pytest

from localcloud.models import Golden
from tests.container.image import Function, payload, rest_event

BOUNDARY = "edge-of-a-part"


def assert_right(result: dict[str, object], case: Golden) -> None:
    assert result.get("label") == case.label, result
    assert result["probability"] == pytest.approx(case.probability, abs=case.tolerance)


def test_the_container_classifies_every_golden_image(function: Function, golden_cases: list[Golden]) -> None:
    for case in golden_cases:
        assert_right(function.invoke(payload(case)), case)


def test_the_container_accepts_a_form(function: Function, golden_cases: list[Golden]) -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    part = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + golden_cases[0].path.read_bytes()
    body = part + f"\r\n--{BOUNDARY}--\r\n".encode()
    event = rest_event("POST", "/v1/classify", body, f"multipart/form-data; boundary={BOUNDARY}")
    answer = function.invoke(event)
    assert answer["statusCode"] == 200, answer
    assert_right(json.loads(answer["body"]), golden_cases[0])


def test_the_container_serves_the_page(function: Function) -> None:
    answer = function.invoke(rest_event("GET", "/"))
    assert answer["statusCode"] == 200, answer
    assert "<html" in answer["body"]


def test_a_broken_image_is_a_4xx_problem(function: Function) -> None:
    assert function.invoke({"image": "bm90IGEgcGljdHVyZQ=="})["error"]["status"] in {415, 422}


def test_onnx_runtime_telemetry_is_disabled(function: Function, golden_cases: list[Golden]) -> None:
    function.invoke(payload(golden_cases[0]))
    left = function.engine.exec(function.container, "python3", "-c", "import os; print(os.listdir('/tmp'))")
    assert left.decode().strip() == "[]"
    assert "telemetry" not in function.engine.logs(function.container)


def test_only_tmp_is_writable(function: Function) -> None:
    attempt = (
        "import os\n"
        "for folder in ('/var/task', '/var/runtime', '/', '/tmp'):\n"
        "    try: open(f'{folder}/probe', 'w').close(); os.remove(f'{folder}/probe'); print(folder)\n"
        "    except OSError: pass\n"
        "print(os.getuid())"
    )
    printed = function.engine.exec(function.container, "python3", "-c", attempt).decode().split()
    assert printed == ["/tmp", "993"]
