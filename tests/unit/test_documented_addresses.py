"""Every documented example writes the endpoint's URL in one way: with the slash at its end, as the stack's output."""

from __future__ import annotations

import re
from pathlib import Path

from tools.contract import document

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")), *sorted((PROJECT / "models").rglob("*.md"))]
# ${URL}v1/classify, $URL/..., {url}...: the variable and what follows it up to a quotation mark or blank.
_USE = re.compile(r"(?:\$\{URL\}|\$URL\b|\{endpoint\[['\"]url['\"]\]\}|os\.environ\[\"URL\"\] \+ \")([^\s\"'`]*)")
_ASSIGNED = re.compile(r"\bURL=(https?://[^\s]+)")


def test_examples_append_a_route_to_the_url() -> None:
    # Examples fill a path parameter in, or write a shell variable: v1/jobs/$JOB.
    paths = re.compile("|".join(re.sub(r"\{\w+\}", "[^/]+", path).removeprefix("/") for path in document()["paths"]))
    uses = [(page.name, match[1]) for page in PAGES for match in _USE.finditer(page.read_text("utf-8"))]
    assert len(uses) > 10
    for page, rest in uses:
        assert paths.fullmatch(rest.partition("?")[0]), (page, rest)


def test_urls_in_examples_end_with_a_slash() -> None:
    values = [(page.name, match[1]) for page in PAGES for match in _ASSIGNED.finditer(page.read_text("utf-8"))]
    assert values
    for page, value in values:
        assert value.endswith(("/", "...")), (page, value)


def test_the_documents_server_is_its_own_folder() -> None:
    """The document is served at ``<URL>openapi.json``, so that its paths append to the URL."""
    assert document()["servers"][0]["url"] == "."
