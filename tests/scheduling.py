"""Distribution of the tests over processes (pytest-xdist), used by `make check` and `make test`.

A test module runs in one process, so that its fixtures are made once. The suites in `ONE_PROCESS` run in one process
each, because their modules share a deployed stack, built container images or templates. The longest units of work start
first and the small ones last, so that the processes end at about the same time.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

ONE_PROCESS = {"cloud", "container", "variants"}
# Each starts a separate local cloud.
INDEPENDENT = {
    f"tests/cloud/test_{name}.py"
    for name in ("experiments", "local_acceptance", "releases", "shadow_test", "variants_from_traffic")
}
PARALLEL_ORDER = (
    "cloud", "modelkit", "variants", "fuzz", "container", "browser", "packaging", "bounds", "runtime", "infra", "unit"
)  # fmt: skip
# In one process, quick suites run first, so that failures show early.
SERIAL_ORDER = (
    "unit", "infra", "variants", "bounds", "packaging", "modelkit", "runtime", "cloud", "browser", "container", "fuzz"
)  # fmt: skip


class SuiteScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Assigns whole modules, or whole suites, to processes."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """The unit of work that a test belongs to: its suite or its module."""
    module = nodeid.partition("::")[0]
    parts = PurePosixPath(module).parts
    if len(parts) > 1 and parts[1] in ONE_PROCESS and module not in INDEPENDENT:
        return parts[1]
    return module
