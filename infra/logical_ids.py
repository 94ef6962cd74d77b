"""Parts of logical IDs and output names."""

from __future__ import annotations


def pascal_case(name: str) -> str:
    """Return a hyphenated name in PascalCase: ``mobile-app`` as ``MobileApp``."""
    return "".join(part.capitalize() for part in name.split("-"))
