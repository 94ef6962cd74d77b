"""Where the bytes of an image come from: one module for each source type, registered here.

A type's module has its value, its rules, ``parse`` for its JSON, and a `SourceType` that imports the reader on first
use. A new type is a module, an entry of `PARSERS`, and an entry of `Sources.of`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from loupe.errors import RequestInvalid
from loupe.json_body import shown
from loupe.sources import inline, s3, url
from loupe.sources.inline import Inline
from loupe.sources.s3 import S3Object, S3Source
from loupe.sources.url import Url, UrlSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from loupe.image import Limits
    from loupe.sources.s3 import S3Rules
    from loupe.sources.url import UrlRules

    class Reader(Protocol):
        """Reads the images of one source type; called from several threads."""

        def read(self, source: Any, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
            """Return the bytes, or raise a `loupe.errors.Problem`; parameters as of `Sources.read`."""

    class SourceType(Protocol):
        """One source type with its rules."""

        def check(self, source: Any) -> None:
            """Reject a source by the rules, with a `loupe.errors.Problem`, before anything is imported for it."""

        def load(self) -> Reader:
            """Import what reading takes, and create the reader."""


Source = Inline | Url | S3Object

# The key of a source's JSON object -> what parses the key's value.
PARSERS: Mapping[str, Callable[[Any, Limits], Source]] = {"url": url.parse, "image": inline.parse, "s3": s3.parse}
*_FIRST, _LAST = (f'"{key}"' for key in PARSERS)
EXACTLY_ONE = f"exactly one of {', '.join(_FIRST)} and {_LAST}"


def parse_source(value: Any, limits: Limits) -> Source:
    """Parse an object with exactly one key of `PARSERS`.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if not isinstance(value, dict):
        raise RequestInvalid(f"This must be an object with {EXACTLY_ONE}.")
    unknown = [key for key in value if key not in PARSERS]
    if unknown:
        raise RequestInvalid(f"The key {shown(unknown[0])} is unknown. Send {EXACTLY_ONE}.")
    if len(value) != 1:
        keys = " and ".join(f'"{key}"' for key in PARSERS if key in value) or "none"
        raise RequestInvalid(f"Send {EXACTLY_ONE}; this request has {keys}.")
    ((key, content),) = value.items()
    return PARSERS[key](content, limits)


class Sources:
    """Reads every type of `Source`; safe to use from several threads."""

    def __init__(self, types: Mapping[type, SourceType]) -> None:
        self._types = types
        self._readers: dict[type, Reader] = {}
        # One for each: importing boto3 takes long, and a request that only fetches a URL does not wait for it.
        self._locks = {value: threading.Lock() for value in types}

    @classmethod
    def of(cls, url_rules: UrlRules, s3_rules: S3Rules, limits: Limits) -> Sources:
        """Return the sources of the function."""
        return cls({Url: UrlSource(url_rules, limits), S3Object: S3Source(s3_rules, limits)})

    def read(self, source: Source, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
        """Return the bytes of the image.

        Parameters
        ----------
        seconds
            The time that the caller has, where it is less than the settings allow the source.
        hosts
            Takes the hosts of URLs whose addresses were checked; see `loupe.sources.url_fetcher.Fetcher.fetch`.

        Raises
        ------
        loupe.errors.Problem
            If the image cannot be read.
        """
        if isinstance(source, Inline):
            return source.data
        value = type(source)
        self._types[value].check(source)
        return self._reader(value).read(source, seconds=seconds, hosts=hosts)

    def _reader(self, value: type) -> Reader:
        with self._locks[value]:
            if value not in self._readers:
                self._readers[value] = self._types[value].load()
            return self._readers[value]
