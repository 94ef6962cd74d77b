"""Entries of docs/runbook.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.infra.synthesis import ROOT

FILE = ROOT / "docs" / "runbook.md"
PARTS = ("Meaning", "First query", "Likely causes", "Fix")
_ENTRY = re.compile(r"^### (\w+)\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"^- \*\*([\w ]+)\*\*: (.*?)(?=^- \*\*|\Z)", re.MULTILINE | re.DOTALL)
_INDENT = " " * 6


@dataclass(frozen=True)
class Entry:
    """One alarm: severity, parts by title, and the commands or the query of its first query."""

    severity: str
    parts: dict[str, str]

    @property
    def code(self) -> str:
        """The indented block of the first query."""
        lines = self.parts.get("First query", "").splitlines()
        return "\n".join(line.removeprefix(_INDENT) for line in lines if line.startswith(_INDENT))

    @property
    def query(self) -> str | None:
        """The first query, if it is one of Logs Insights and not a command."""
        return None if self.code.startswith(("aws ", "make ")) else self.code


def entries() -> dict[str, Entry]:
    """Read the entries by alarm name."""
    read = {}
    for name, body in _ENTRY.findall(FILE.read_text(encoding="utf-8")):
        severity = re.match(r"\nSeverity: (\w+)\.", body)
        read[name] = Entry(severity[1] if severity else "", dict(_PART.findall(body)))
    return read
