"""Base64 images: the size limit before decoding."""

from __future__ import annotations

import pytest
from loupe.errors import ImageTooLarge, RequestInvalid
from loupe.image import Limits
from loupe.sources.inline import decode_base64

LIMITS = Limits(max_bytes=100_000)
# Four characters carry three bytes; 5 % and 4 KiB are allowed for line breaks.
LONGEST = 145_462


def test_longer_text_is_rejected_before_it_is_decoded() -> None:
    with pytest.raises(RequestInvalid, match="position 1 is not of its alphabet"):
        decode_base64("!" * LONGEST, LIMITS)
    with pytest.raises(ImageTooLarge, match="larger than 100,000 bytes"):
        decode_base64("!" * (LONGEST + 1), LIMITS)


def test_the_prefix_of_a_data_uri_does_not_count() -> None:
    assert len(decode_base64("data:image/jpeg;base64," + "A" * 145_460, LIMITS)) == 109_095
    with pytest.raises(ImageTooLarge):
        decode_base64("data:image/jpeg;base64," + "A" * 145_464, LIMITS)


def test_a_limit_of_no_bytes_leaves_the_allowance() -> None:
    assert len(decode_base64("A" * 5460, Limits(max_bytes=0))) == 4095
    with pytest.raises(ImageTooLarge):
        decode_base64("A" * 5464, Limits(max_bytes=0))


@pytest.mark.parametrize("text", ["=AAAA", "AA=AA", "AAAA=A"])
def test_padding_before_the_end_is_named(text: str) -> None:
    with pytest.raises(RequestInvalid, match="text follows its padding"):
        decode_base64(text, LIMITS)
