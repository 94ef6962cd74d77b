"""What is taken out of an exception's text before it is logged: it may repeat what a request held.

Only our own faults are logged with their trace, and only their trace comes here: nothing of this is loaded before one.
"""

from __future__ import annotations

import re

MASK = "[redacted]"
# A trace is read by a person; what an exception repeats may be megabytes.
MAX_CHARACTERS = 20_000
_NAMES = (
    r"authorization|proxy-authorization|cookie|set-cookie|x-api-key|x-amz-[a-z-]+"
    r"|[a-z_-]*(?:token|password|passwd|secret)"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Of a URL its host stays: path and query may be a capability, the part before @ is a password.
    (
        re.compile(r"([a-z][a-z0-9+.-]{1,15}://)(?:[^\s/?#'\"<>]*@)?([^\s/?#'\"<>@]*)[^\s'\"<>]*", re.IGNORECASE),
        r"\1\2/",
    ),
    (re.compile(r"\b(bearer|basic|aws4-hmac-sha256)\s+[^'\"\n]+", re.IGNORECASE), rf"\1 {MASK}"),
    # 'name': 'value', name=value, name: value
    (
        re.compile(rf"\b({_NAMES})(['\"]?\s*[:=]\s*b?['\"]?)[^\s'\"&;,}}]+", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
    # A query without its URL.
    (re.compile(r"\?[^\s'\"?=]{1,200}=[^'\"\n]*"), f"?{MASK}"),
    # Bytes as Python shows them.
    (re.compile(r"\b(?:b|bytearray\(b)('(?:[^'\\\n]|\\.)*'?|\"(?:[^\"\\\n]|\\.)*\"?)"), f"b{MASK}"),
    # Base64 and hexadecimal, which no word or path of ours is long enough to be taken for.
    (re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}"), MASK),
)


def redacted(text: str) -> str:
    """Return a trace without addresses' paths and queries, credentials, bytes and long encoded runs."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"
