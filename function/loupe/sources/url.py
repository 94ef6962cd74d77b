"""Images at a URL: which URLs may be fetched. `loupe.sources.url_fetcher` fetches them, imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from loupe.errors import RequestInvalid, UrlNotAllowed

if TYPE_CHECKING:
    import ipaddress
    from typing import TypeAlias

    from loupe.image import Limits
    from loupe.sources.url_fetcher import Fetcher

    Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

UrlPolicy = Literal["off", "allow-list", "public"]

MAX_URL_CHARACTERS = 2048


class Url(NamedTuple):
    """An image to fetch."""

    url: str


class UrlRules(NamedTuple):
    """Which URLs may be fetched, and within how many seconds."""

    policy: UrlPolicy = "off"
    hosts: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ("https",)
    ports: tuple[int, ...] = (443,)
    private_networks: tuple[Network, ...] = ()
    timeout_seconds: float = 5.0
    max_redirects: int = 3

    def check_policy(self) -> None:
        """Reject every URL where none is fetched.

        Raises
        ------
        loupe.errors.UrlNotAllowed
        """
        if self.policy == "off":
            raise UrlNotAllowed("This endpoint does not fetch URLs. Send the image itself.")


class UrlSource:
    """URLs as a source type; see `loupe.sources.SourceType`."""

    def __init__(self, rules: UrlRules, limits: Limits) -> None:
        self._rules, self._limits = rules, limits

    def check(self, _source: Url) -> None:
        self._rules.check_policy()

    def load(self) -> Fetcher:
        from loupe.sources.url_fetcher import Fetcher

        return Fetcher(self._rules, self._limits.max_bytes, formats=self._limits.formats)


def parse(content: Any, _limits: Limits) -> Url:
    """Parse the value of ``url``.

    Raises
    ------
    loupe.errors.RequestInvalid
    """
    if not isinstance(content, str) or not content.strip():
        raise RequestInvalid('"url" must be a text that is not empty.')
    content = content.strip()
    if len(content) > MAX_URL_CHARACTERS:
        raise RequestInvalid(f'"url" must have at most {MAX_URL_CHARACTERS} characters.')
    return Url(content)
