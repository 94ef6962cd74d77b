"""Errors of the local cloud, as sentences for the user of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class CloudError(Exception):
    """The local cloud cannot do what was requested.

    Parameters
    ----------
    message
        One sentence that says what is wrong and what to do.
    log
        The file that holds the details, if there is one.
    """

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} (log: {self.log})" if self.log else message
