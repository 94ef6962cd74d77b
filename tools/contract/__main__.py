"""Write everything that is generated from the contract: ``python -m tools.contract`` (``make openapi``)."""

from __future__ import annotations

import json
from pathlib import Path

from loupe.http.documents import file_name

from tools.contract import document
from tools.contract.tables import fill

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = Path("docs", "openapi.json")
# What the function serves at ``GET /openapi.json``, by the features of the deployment: bulk jobs, several models.
SERVED = {
    (jobs, models): Path("function", "loupe", "http", file_name(jobs=jobs, models=models))
    for jobs in (False, True)
    for models in (False, True)
}
TABLES_PAGE = Path("docs", "api.md")


def contents(root: Path) -> dict[Path, str]:
    """Return the text of each generated file by its path; the page with the tables is read from ``root``."""
    openapi = document()
    return {
        DOCUMENT: json.dumps(openapi, indent=2) + "\n",
        **{
            path: json.dumps(document(jobs=jobs, models=models), separators=(",", ":"))
            for (jobs, models), path in SERVED.items()
        },
        TABLES_PAGE: fill((root / TABLES_PAGE).read_text("utf-8")),
    }


def main(root: Path = PROJECT) -> None:
    """Write the files."""
    for path, text in contents(root).items():
        (root / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
