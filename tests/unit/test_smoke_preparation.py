"""Preparations of the smoke test: invalid credentials, an image that is too large, the model's card."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tools.smoke import card as cards
from tools.smoke.checks.inputs import padded_jpeg
from tools.smoke.credentials import ApiKey, AwsSignature, BearerToken


def test_invalid_credentials_are_of_the_same_kind() -> None:
    assert ApiKey("x").invalid().value != "x"
    assert BearerToken("a.b.cd").invalid().value == "a.b.dc"
    signature = AwsSignature("AKID", "secret", None, "eu-west-1")
    headers = signature.headers("GET", "https://x.test/v1/models", {}, b"")
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "/eu-west-1/execute-api/aws4_request" in headers["Authorization"]
    wrong = signature.invalid().headers("GET", "https://x.test/v1/models", {}, b"")
    assert wrong["Authorization"] != headers["Authorization"]


def test_a_padded_jpeg_has_the_same_pixels() -> None:
    buffer = BytesIO()
    Image.new("RGB", (30, 20), (200, 10, 10)).save(buffer, "JPEG")
    padded = padded_jpeg(buffer.getvalue(), 500_000)
    assert len(padded) >= 500_000
    assert Image.open(BytesIO(padded)).tobytes() == Image.open(buffer).tobytes()


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ("nonsense", "cannot be read"),
        ('{"name": "m"}', "cannot be read"),
        ('{"name": "m", "version": "1", "output": {"labels": ["a", "b"]}}', "no golden images"),
        (
            '{"name": "m", "version": "1", "output": {"labels": ["a"]}, "golden": [{"image": "x.jpg", "label": "a"}]}',
            "x.jpg is missing",
        ),
    ],
)
def test_a_card_that_proves_nothing_is_reported_clearly(card: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(card)
    with pytest.raises(ValueError, match=sentence):
        cards.read(tmp_path)
