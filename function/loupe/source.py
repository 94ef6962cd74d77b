"""Where a picture's bytes come from. What only some sources need is imported when one of them is first read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from loupe.formats import DEFAULT_FORMATS
from loupe.request import Inline, S3Object, Source, Url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.locations import S3Rules
    from loupe.settings import UrlRules


class UrlFetcher(Protocol):
    """Fetches a URL within its rules; see `loupe.url.Fetcher`."""

    def fetch(self, url: str, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
        """Return the body, or raise a `loupe.errors.Problem`."""


class ObjectReader(Protocol):
    """Reads an S3 object within its rules; see `loupe.s3.ObjectReader`."""

    def read(self, source: S3Object, *, seconds: float | None = None) -> bytes:
        """Return the content, or raise a `loupe.errors.Problem`."""


class Sources:
    """Reads every kind of `Source`; safe to use from several threads."""

    def __init__(
        self,
        url_rules: UrlRules,
        s3_rules: S3Rules,
        max_bytes: int,
        *,
        formats: Sequence[str] = DEFAULT_FORMATS,
        url_fetcher: UrlFetcher | None = None,
        object_reader: ObjectReader | None = None,
    ) -> None:
        self._url_rules, self._s3_rules, self._max_bytes = url_rules, s3_rules, max_bytes
        self._formats = formats
        self._url_fetcher, self._object_reader = url_fetcher, object_reader
        # One for each: importing boto3 takes long, and who only fetches a URL does not wait for it.
        self._url_lock, self._object_lock = threading.Lock(), threading.Lock()

    def read(self, source: Source, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
        """Return the picture's bytes.

        Parameters
        ----------
        seconds
            Where the caller has less time than the settings give each source.
        hosts
            Takes the hosts of URLs whose addresses were checked; see `loupe.url.Fetcher.fetch`.

        Raises
        ------
        loupe.errors.Problem
            If they cannot be had.
        """
        if isinstance(source, Inline):
            return source.data
        if isinstance(source, Url):
            return self._fetcher().fetch(source.url, seconds=seconds, hosts=hosts)
        self._s3_rules.check(source)
        return self._reader().read(source, seconds=seconds)

    def _fetcher(self) -> UrlFetcher:
        with self._url_lock:
            if self._url_fetcher is None:
                from loupe.url import Fetcher

                self._url_fetcher = Fetcher(self._url_rules, self._max_bytes, formats=self._formats)
            return self._url_fetcher

    def _reader(self) -> ObjectReader:
        with self._object_lock:
            if self._object_reader is None:
                from loupe.s3 import ObjectReader

                self._object_reader = ObjectReader(self._s3_rules, self._max_bytes)
            return self._object_reader
