"""Write everything that is generated from the contract: ``python -m tools.contract`` (``make openapi``)."""

from __future__ import annotations

import json
from pathlib import Path

from tools.contract import document
from tools.contract.tables import fill

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = Path("docs", "openapi.json")
# What the function serves at ``GET /openapi.json``: with the routes of bulk jobs where the deployment has them.
SERVED = Path("function", "loupe", "http", "openapi.json")
SERVED_WITH_JOBS = Path("function", "loupe", "http", "openapi-jobs.json")
TABLES_PAGE = Path("docs", "api.md")


def contents(root: Path) -> dict[Path, str]:
    """Return the text of each generated file by its path; the page with the tables is read from ``root``."""
    openapi = document()
    return {
        DOCUMENT: json.dumps(openapi, indent=2) + "\n",
        SERVED: json.dumps(document(jobs=False), separators=(",", ":")),
        SERVED_WITH_JOBS: json.dumps(openapi, separators=(",", ":")),
        TABLES_PAGE: fill((root / TABLES_PAGE).read_text("utf-8")),
    }


def main(root: Path = PROJECT) -> None:
    """Write the files."""
    for path, text in contents(root).items():
        (root / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
