"""`python -m localcloud.ministack_server`: MiniStack, joined to the fleet, our alarms and our transport."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from localcloud import alarm_seam, gateway_seam, lambda_seam, transport_seam

if TYPE_CHECKING:
    from localcloud.seam import Replacement

FLEET_URL_VARIABLE = "LOUPE_FLEET_URL"


def replacements(fleet_url: str) -> tuple[Replacement, ...]:
    """Every function of MiniStack that has a successor here."""
    return (
        *lambda_seam.replacements(fleet_url),
        *gateway_seam.replacements(),
        *alarm_seam.REPLACEMENTS,
        *transport_seam.REPLACEMENTS,
    )


def main() -> None:
    """Serve until SIGTERM; MiniStack reads its port and the rest from the environment."""
    for replacement in replacements(os.environ[FLEET_URL_VARIABLE]):
        replacement.install()
    alarm_seam.start_evaluating()
    importlib.import_module("ministack.app").main()


if __name__ == "__main__":
    main()
