"""Host names and default ports, shared by origins and image URLs."""

from __future__ import annotations

from typing import Annotated

from infra.settings.base import text

DEFAULT_PORTS = {"https": 443, "http": 80}

# `loupe.settings` accepts and rejects the same values of what becomes a `LOUPE_*` variable:
# tests/variants/test_settings_equality.py.
HOST_PATTERN = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
Host = Annotated[
    str,
    text(
        rf"(?=.{{1,253}}$)(\*\.)?{HOST_PATTERN}",
        "a host name in small letters, such as images.example.com or *.example.org",
    ),
]
