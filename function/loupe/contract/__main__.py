"""Write the OpenAPI document: ``python -m loupe.contract [docs/openapi.json] [docs/api.md]``; alone, print it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from loupe.contract import document
from loupe.contract.tables import fill


def main(paths: list[str]) -> None:
    """Write each file by its kind."""
    text = json.dumps(document(), indent=2) + "\n"
    if not paths:
        sys.stdout.write(text)
    for path in map(Path, paths):
        path.write_text(text if path.suffix == ".json" else fill(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
