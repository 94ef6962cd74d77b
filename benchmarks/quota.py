"""CPU shares, as Lambda assigns them by memory size, with a quota of the kernel's CPU controller."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

# Memory size with one vCPU ("Configure Lambda function memory" in AWS's developer guide).
MIB_FOR_A_CPU = 1769
_PERIOD_MICROSECONDS = 20_000
_VERSION_1 = Path("/sys/fs/cgroup/cpu")
_VERSION_2 = Path("/sys/fs/cgroup")


class NoQuotaError(Exception):
    """No CPU quota can be set on this machine."""


@contextlib.contextmanager
def cpu_share(cpus: float) -> Iterator[None]:
    """Limit this process and its children to this number of CPUs in total.

    Raises
    ------
    NoQuotaError
        If the control groups cannot be changed, which takes root or a delegated group.
    """
    version_1 = (_VERSION_1 / "cpu.cfs_quota_us").is_file()
    home = _VERSION_1 if version_1 else _VERSION_2
    group = home / f"loupe-benchmark-{os.getpid()}"
    quota = round(cpus * _PERIOD_MICROSECONDS)
    try:
        group.mkdir()
        if version_1:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        raise NoQuotaError(f"no CPU quota can be set here ({error.strerror})") from error
    try:
        yield
    finally:
        (home / "cgroup.procs").write_text(str(os.getpid()))
        # Ended processes leave the group a moment later; an empty group costs nothing.
        with contextlib.suppress(OSError):
            group.rmdir()
