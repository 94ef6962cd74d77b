"""The context object that Lambda passes to a handler."""

from __future__ import annotations

from typing import Protocol


class Context(Protocol):
    """The part of Lambda's context object that the functions use."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
