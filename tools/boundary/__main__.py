"""`python -m tools.boundary`: write the permissions boundary as JSON, for accounts without the delivery's stack."""

from __future__ import annotations

import json
import sys

from infra import boundary
from infra.paths import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "permissions-boundary.json"
# An account number of AWS's own documentation, to be replaced.
EXAMPLE_ACCOUNT = "111122223333"


def text() -> str:
    """Return the document of the example account, without secrets and buckets of settings."""
    return json.dumps(boundary.document(account=EXAMPLE_ACCOUNT), indent=2) + "\n"


def main() -> int:
    """Write the file; return the exit code."""
    PAGE.write_text(text(), encoding="utf-8")
    print(f"{PAGE.relative_to(PROJECT_ROOT)} has the boundary of account {EXAMPLE_ACCOUNT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
