"""Bursts of methods without credentials, limited to a share of the function's concurrency."""

from __future__ import annotations

from math import ceil

from infra.contract import Contract
from infra.settings import Settings, SettingsError

# Concurrency that an account cannot reserve, so that functions without a reserve share it ("Lambda quotas").
UNRESERVED_CONCURRENCY = 100
# Share of the concurrency that open methods leave to clients with credentials.
CALLERS_SHARE = 0.25
# One person's browser does not send more requests at once.
LARGEST_DEFAULT = 20


def open_burst(settings: Settings, contract: Contract) -> int:
    """Return the burst of each open method: `api.open_burst_limit`, or the largest that the budget allows.

    API Gateway throttles each method by itself. While execution environments are cold, every request of a burst starts
    one, so the sum of the bursts is the concurrency that anonymous clients can use at once.

    Raises
    ------
    SettingsError
        If the bursts can take more than three quarters of the reserve.
    """
    limit = settings.api.open_burst_limit
    if settings.local:  # Its clients are on this machine.
        return LARGEST_DEFAULT if limit is None else limit
    methods = len(contract.open_methods(preflights=bool(settings.api.cors_origins)))
    reserve = settings.function.reserved_concurrency
    budget = _budget(reserve or UNRESERVED_CONCURRENCY)
    if methods * (limit or 1) <= budget:
        return limit or min(LARGEST_DEFAULT, budget // methods)
    reason = (
        f"function.reserved_concurrency is {reserve}"
        if reserve
        else f"a function without a reserve can count on {UNRESERVED_CONCURRENCY}"
    )
    needed = least_reserve(methods * (limit or 1))
    advice = f"set function.reserved_concurrency to {needed} or more"
    if limit is not None and budget >= methods:
        advice = f"set api.open_burst_limit to {budget // methods} or less, or {advice}"
    raise SettingsError(
        f"environments.{settings.environment}.api.open_burst_limit: {methods} methods without credentials and a burst "
        f"of {limit or 1} each can start {methods * (limit or 1)} execution environments at once; {reason}, of which a "
        f"quarter is kept for callers with credentials: {advice}."
    )


def least_reserve(bursts: int) -> int:
    """Return the smallest reserve whose budget holds the sum of the open methods' bursts."""
    return next(reserve for reserve in range(bursts, 2 * bursts + 2) if _budget(reserve) >= bursts)


def _budget(concurrency: int) -> int:
    return concurrency - ceil(concurrency * CALLERS_SHARE)
