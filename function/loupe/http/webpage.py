"""The web page at ``GET /``: one self-contained document under a policy that allows no external resources."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.card import Card

FOLDER = Path(__file__).parent / "page"
_INLINE = re.compile(r"<(script|style)\b([^>]*)>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)
_DATA_BLOCK = re.compile(r"""\btype\s*=\s*["']?application/json\b""", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{\{([a-z]+)\}\}")


class Facts(NamedTuple):
    """Public content of the page: the model, its description and the input limits.

    Labels, evaluation and licence need the API key of ``GET /v1/models``; ``labels`` only select the samples.
    ``limits`` is the JSON text of ``GET /v1/models``'s limits.
    """

    name: str
    version: str
    description: str
    labels: tuple[str, ...]
    limits: str

    @classmethod
    def of(cls, card: Card, limits: Mapping[str, Any]) -> Facts:
        description = "" if card.description == card.name else card.description
        return cls(card.name, card.version, description, card.output.labels, json.dumps(limits))


@lru_cache(maxsize=1)
def load(facts: Facts, connect: tuple[str, ...] = (), folder: Path = FOLDER) -> tuple[str, dict[str, str]]:
    """Return the page and its headers. The policy allows the template's script and style by their hashes (CSP 3).

    Parameters
    ----------
    connect
        Further origins to which the page sends requests: those of the upload bucket.
    folder
        Contains ``index.html`` and optionally ``samples.json`` (see scripts/page_samples.py).

    Raises
    ------
    loupe.errors.NotFound
        If this deployment has no page.
    """
    try:
        template = (folder / "index.html").read_text("utf-8")
    except FileNotFoundError:
        raise NotFound("This endpoint has no page. See openapi.json for its API.") from None
    values = {
        "title": html.escape(facts.name),
        "description": html.escape(facts.description),
        "facts": _json(
            {
                "name": facts.name,
                "version": facts.version,
                "description": facts.description,
                "limits": json.loads(facts.limits),
            }
        ),
        "samples": _json(_samples(folder / "samples.json", facts.labels)),
    }
    # One pass, so that placeholders inside values are not replaced.
    page = _PLACEHOLDER.sub(lambda match: values[match[1]], template)
    return page, {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": _policy(template, connect),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
        "Cache-Control": "public, max-age=300",
    }


def _policy(template: str, connect: tuple[str, ...]) -> str:
    """Return the Content-Security-Policy. Hashes are those of the template, so that no text of a card gets one.

    Data blocks (``application/json``) need none: the HTML standard does not execute them.
    """
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, attributes, content in _INLINE.findall(template):
        if not _DATA_BLOCK.search(attributes):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            hashes[kind.lower()].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src", *(hashes["script"] or ["'none'"])]),
            " ".join(["style-src", *(hashes["style"] or ["'none'"])]),
            "img-src 'self' data: blob:",
            " ".join(["connect-src 'self'", *connect]),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _samples(file: Path, labels: tuple[str, ...]) -> list[str]:
    """Return the sample images (data URIs) for this model's labels, without their labels."""
    if not file.exists():
        return []
    sets = json.loads(file.read_text("utf-8"))
    return next((item["pictures"] for item in sets if sorted(item["labels"]) == sorted(labels)), [])


def _json(value: Any) -> str:
    """Return JSON for a script element, without the characters that end it or begin a comment."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
