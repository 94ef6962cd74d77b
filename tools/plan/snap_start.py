"""Whether SnapStart saves money: the charges of snapshots and restores against those of INIT."""

from __future__ import annotations

from tools import prices
from tools.plan.sizing import Load

# Restores of other functions, in ms; docs/releases.md, 'SnapStart'.
RESTORE_MS = (440, 740)


def restore_seconds(load: Load) -> float:
    """Return the seconds of INIT that cost as much as a restore, whatever the memory."""
    return prices.SNAP_START_RESTORE.first / prices.LAMBDA_DURATION[load.architecture].first


def cached(load: Load, versions: int) -> float:
    """Return dollars a month for the snapshots of this many versions."""
    return prices.SNAP_START_CACHE.cost(versions * prices.gb(load.memory_mib) * prices.SECONDS_A_MONTH)


def break_even(load: Load, versions: int) -> float | None:
    """Return the cold starts a month from which SnapStart saves money; None if it never does."""
    memory = prices.gb(load.memory_mib)
    init = load.cold_start_ms / 1000 * memory * prices.LAMBDA_DURATION[load.architecture].first
    saved = init - memory * prices.SNAP_START_RESTORE.first
    return cached(load, versions) / saved if saved > 0 else None


def sentence(load: Load, versions: int) -> str:
    """Return what SnapStart would change for a function with this cold start."""
    starts = break_even(load, versions)
    money = (
        f"never saves money here: a restore costs as much as {restore_seconds(load):.1f} s of INIT"
        if starts is None
        else f"saves money from {starts:,.0f} cold starts a month on"
    )
    fast, slow = RESTORE_MS
    time = (
        "is not faster either"
        if load.cold_start_ms <= fast
        else "may be faster or slower"
        if load.cold_start_ms <= slow
        else "is faster"
    )
    return (
        f"SnapStart (function.snap_start) {money}; the snapshots of {versions} versions cost "
        f"${cached(load, versions):,.2f} a month. Against a cold start of {load.cold_start_ms:g} ms it {time}: "
        f"restores took {fast} to {slow} ms elsewhere."
    )
