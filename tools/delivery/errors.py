"""The error of every delivery step."""

from __future__ import annotations


class DeliveryError(Exception):
    """A step cannot go on. The message says why, and what to do."""
