"""Golden cases as payloads of direct invocations."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, NamedTuple

from loupe.card import CardError, load_card
from loupe.model_files import read_golden

if TYPE_CHECKING:
    from pathlib import Path

# Lambda quotas, 'Invocation payload (request and response)': 6 MB, synchronous. Base64 takes 4 bytes for 3; the rest of
# the payload is short.
MAX_IMAGE_BYTES = 6 * 1024 * 1024 // 4 * 3 - 1024


class CaseError(ValueError):
    """A golden case that cannot be sent. The message is a sentence that names it."""


class Case(NamedTuple):
    """A golden image with its expected result: the ``probability`` of ``label``, within ``tolerance``.

    ``label`` is empty for the gray image of a model without golden cases: any result passes.
    """

    model: str
    image: str
    data: bytes
    label: str = ""
    probability: float = 0.0
    tolerance: float = 0.0

    @property
    def name(self) -> str:
        """Model and file, as findings name the case."""
        return f"{self.model} {self.image}"


class Cases(NamedTuple):
    """The cases of all models, and models without any."""

    cases: tuple[Case, ...]
    without: tuple[str, ...]


def read_cases(models_dir: Path, models: tuple[str, ...]) -> Cases:
    """Read the golden cases of the models' cards.

    A model without golden cases gets a gray image, which only shows that it answers.

    Raises
    ------
    CaseError
        If a card or one of its golden images cannot be read.
    """
    cases: list[Case] = []
    without = []
    for model in models:
        try:
            card = load_card(models_dir / model)
        except (CardError, OSError) as error:
            raise CaseError(f"{model}: the card cannot be read: {error}") from None
        if not card.golden:
            without.append(model)
            cases.append(Case(model, "(no golden case: a gray image)", gray_png()))
        for item in card.golden:
            case = f"golden case {model} {item.image}"
            try:
                data = read_golden(card.directory, item.image)
            except (CardError, OSError) as error:
                raise CaseError(f"{case}: the image in the container image cannot be read: {error}") from None
            if not data:
                raise CaseError(f"{case}: the image in the container image is empty.")
            if len(data) > MAX_IMAGE_BYTES:
                raise CaseError(
                    f"{case}: {len(data):,} bytes are more than an invocation carries ({MAX_IMAGE_BYTES:,}); use a "
                    "smaller image."
                )
            cases.append(Case(model, item.image, data, item.label, item.probability, item.tolerance))
    return Cases(tuple(cases), tuple(without))


def payload(case: Case, *, several: bool) -> bytes:
    """Return the payload of a direct invocation; with several models it names the case's."""
    fields = {"image": base64.b64encode(case.data).decode("ascii"), "top": 9999, "identify": True}
    return json.dumps({**fields, **({"model": case.model} if several else {})}).encode()


def gray_png(side: int = 64) -> bytes:
    """Return a gray PNG of ``side`` x ``side`` pixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (128, 128, 128)).save(buffer, "PNG")
    return buffer.getvalue()
