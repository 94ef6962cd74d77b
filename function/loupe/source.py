"""Where a picture's bytes come from. What only some sources need is imported when one of them is first read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loupe.request import Inline, Source

if TYPE_CHECKING:
    from loupe.settings import UrlRules


class UrlFetcher(Protocol):
    """Fetches a URL within its rules; see `loupe.url.Fetcher`."""

    def fetch(self, url: str) -> bytes:
        """Return the body, or raise a `loupe.errors.Problem`."""


class Sources:
    """Reads every kind of `Source`."""

    def __init__(self, rules: UrlRules, max_bytes: int, *, url_fetcher: UrlFetcher | None = None) -> None:
        self._rules, self._max_bytes = rules, max_bytes
        self._url_fetcher = url_fetcher

    def read(self, source: Source) -> bytes:
        """Return the picture's bytes.

        Raises
        ------
        loupe.errors.Problem
            If they cannot be had.
        """
        if isinstance(source, Inline):
            return source.data
        if self._url_fetcher is None:
            from loupe.url import Fetcher

            self._url_fetcher = Fetcher(self._rules, self._max_bytes)
        return self._url_fetcher.fetch(source.url)
