"""Remove secrets and request content from an exception's text before it is logged.

Only faults of the function itself are logged with a stack trace, and only such a trace is redacted here; this module is
imported when the first one occurs. The text may repeat request content: it is cut to `MAX_CHARACTERS` before a pattern
is applied, and every pattern is linear.
"""

from __future__ import annotations

import re

MASK = "[redacted]"
# Enough for a person to read; an exception may repeat megabytes.
MAX_CHARACTERS = 20_000
MAX_LINE = 2_000
# Also as the end of a longer name, such as session_token. Headers of AWS are at most 40 characters long.
_NAMES = r"authorization|cookie|api[_-]?key|x-amz-[a-z-]{1,40}|token|password|passwd|secret"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Keep the host of a URL: its path and query may be a capability, and the user information is a password.
    (
        re.compile(r"([a-z][a-z0-9+.-]{1,15}://)(?:[^\s/?#'\"<>]*@)?([^\s/?#'\"<>@]*)[^\s'\"<>]*", re.IGNORECASE),
        r"\1\2/",
    ),
    (re.compile(r"\b(bearer|basic|aws4-hmac-sha256)\s+[^'\"\n]+", re.IGNORECASE), rf"\1 {MASK}"),
    # 'name': 'value', name=value, name: value
    (
        re.compile(rf"({_NAMES})(['\"]?\s*[:=]\s*b?['\"]?)[^\s'\"&;,}}]+", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
    # A query without its URL.
    (re.compile(r"\?[^\s'\"?=]{1,200}=[^'\"\n]*"), f"?{MASK}"),
    # Bytes as Python prints them.
    (re.compile(r"\b(?:b|bytearray\(b)('(?:[^'\\\n]|\\.)*'?|\"(?:[^\"\\\n]|\\.)*\"?)"), f"b{MASK}"),
    # Base64 and hexadecimal: no word or path of this project is that long.
    (re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}"), MASK),
)


def redacted(text: str) -> str:
    """Return a stack trace without the paths and queries of URLs, credentials, bytes and long encoded runs."""
    text = _shortened(text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _shortened(text: str) -> str:
    """Keep the first and the last lines, and the start of a long line."""
    text = "\n".join(_short_line(line) for line in text.split("\n"))
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    head, tail = text[:half].rpartition("\n")[0], text[-half:].partition("\n")[2]
    return f"{head}\n[{len(text) - len(head) - len(tail)} characters left out]\n{tail}"


def _short_line(line: str) -> str:
    """Return a line of at most `MAX_LINE` characters and a note. A word that is cut is left out: it may be a secret."""
    if len(line) <= MAX_LINE:
        return line
    words = line[:MAX_LINE].rsplit(maxsplit=1)
    return f"{words[0] if len(words) > 1 else ''} [{len(line)} characters, cut]"
