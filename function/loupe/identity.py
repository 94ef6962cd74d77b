"""The identity of an execution environment, for callers that count environments: see `loupe.release.environments`."""

from __future__ import annotations

import os
from functools import cache


@cache
def environment_id() -> str:
    """Return 64 random bits in hex, the same for every request of this execution environment.

    They are drawn by the first request, never at INIT: environments that SnapStart restores from one snapshot share
    everything that INIT has made. The log stream's name would be shared as well: the runtime reads it from the
    environment variables of the snapshot.
    """
    return os.urandom(8).hex()
