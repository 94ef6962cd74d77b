"""`python -m localcloud.ministack_server`: MiniStack, joined to the fleet, our alarms and our transport."""

from __future__ import annotations

import importlib
import os

from localcloud import alarm_seam, lambda_seam, transport_seam

FLEET_URL_VARIABLE = "LOUPE_FLEET_URL"


def main() -> None:
    """Serve until SIGTERM; MiniStack reads its port and the rest from the environment."""
    for replacement in (
        *lambda_seam.replacements(os.environ[FLEET_URL_VARIABLE]),
        *alarm_seam.REPLACEMENTS,
        *transport_seam.REPLACEMENTS,
    ):
        replacement.install()
    alarm_seam.start_evaluating()
    importlib.import_module("ministack.app").main()


if __name__ == "__main__":
    main()
