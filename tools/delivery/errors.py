"""The error of every delivery step."""

from __future__ import annotations


class DeliveryError(Exception):
    """A step cannot continue. The message states why, and what to do."""
