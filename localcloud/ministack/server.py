"""`python -m localcloud.ministack.server`: MiniStack with the replacements installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from localcloud.ministack import (
    cloudwatch_alarms,
    compatibility,
    iam_actions,
    lambda_async,
    lambda_invoke,
    rest_api,
    secure_transport,
    step_functions,
)
from localcloud.ministack.replacement import original

if TYPE_CHECKING:
    from localcloud.ministack.replacement import Replacement

FLEET_URL_VARIABLE = "LOUPE_FLEET_URL"


def replacements(fleet_url: str) -> tuple[Replacement, ...]:
    """Every replacement of a MiniStack function; `compatibility.REPLACED` lists the same functions."""
    return (
        *lambda_invoke.replacements(fleet_url),
        *lambda_async.replacements(),
        *rest_api.replacements(),
        *cloudwatch_alarms.replacements(),
        *secure_transport.replacements(),
        *iam_actions.replacements(),
        *step_functions.replacements(),
    )


def main() -> None:
    """Serve until SIGTERM; MiniStack reads its port and other settings from the environment."""
    compatibility.require()
    for replacement in replacements(os.environ[FLEET_URL_VARIABLE]):
        replacement.install()
    cloudwatch_alarms.start_evaluating()
    original("ministack.app", "main")()


if __name__ == "__main__":
    main()
