"""The page for people at ``GET /``: one self-contained file, held by a policy that lets in nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path

from loupe.errors import NotFound

FILE = Path(__file__).parent / "page" / "index.html"
_INLINE = re.compile(r"<(script|style)\b[^>]*>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)


@lru_cache(maxsize=1)
def load(file: Path = FILE, connect: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
    """Return the page and its headers. The policy allows the file's inline scripts and styles by their hashes (CSP 3).

    Parameters
    ----------
    connect
        Origins that the page sends to besides its own: the upload bucket's.

    Raises
    ------
    loupe.errors.NotFound
        If this deployment has no page.
    """
    try:
        html = file.read_text("utf-8")
    except FileNotFoundError:
        raise NotFound("This endpoint has no page. See openapi.json for its API.") from None
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[kind.lower()].append(f"'sha256-{digest}'")
    policy = [
        "default-src 'none'",
        " ".join(["script-src", *(hashes["script"] or ["'none'"])]),
        " ".join(["style-src", *(hashes["style"] or ["'none'"])]),
        "img-src 'self' data: blob:",
        " ".join(["connect-src 'self'", *connect]),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return html, {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
        "Cache-Control": "public, max-age=300",
    }
