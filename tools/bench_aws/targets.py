"""Run a benchmark's functions in a temporary stack on AWS or in the local cloud's fleet."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud import cloud
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.settings import compose
from tools import cdk
from tools.bench_aws.app import context
from tools.bench_aws.measure import BenchError
from tools.region import configured_region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from localcloud.state import State
    from tools.bench_aws.subjects import Subject


class AwsBench:
    """Deploys every subject at once with the CDK command line, and deletes the stack."""

    note = ""

    def __init__(self, log: Path) -> None:
        import boto3

        self._session, self._log = boto3.Session(region_name=configured_region()), log

    def client(self, service: str) -> Any:
        session: Any = self._session
        return session.client(service)

    @contextmanager
    def deployed(self, subjects: Sequence[Subject], report: Callable[[str], None]) -> Iterator[Iterator[Subject]]:
        """Yield the subjects, ready to be invoked."""
        # Without credentials nothing can be deployed, and nothing deleted.
        self.client("sts").get_caller_identity()
        complete = False
        try:
            report(f"deploying {len(subjects)} functions")
            self._cdk(["deploy", "--require-approval", "never"], subjects)
            yield iter(subjects)
            complete = True
        finally:
            report("deleting what was deployed")
            try:
                self._cdk(["destroy", "--force"], subjects)
            except BenchError as error:
                if complete:
                    raise
                # What went wrong first is the error; this one must not hide it.
                report(f"not deleted: {error}")

    def _cdk(self, arguments: Sequence[str], subjects: Sequence[Subject]) -> None:
        app = ["--app", f"{sys.executable} -m tools.bench_aws.app", "--output", "cdk.out/bench"]
        process = cdk.run([*arguments, *app, "-c", f"bench={context(subjects)}"], self._log)
        if process.returncode != 0:
            raise BenchError(cdk.failure(process, self._log))


class LocalBench:
    """Deploys the subjects one after the other to the local cloud."""

    note = (
        "Measured on the local cloud. It shows that the benchmark works, and nothing about AWS: every memory size "
        "gets the whole machine, there is one architecture and no SnapStart, no image is loaded, a health check came "
        "before the first start, and the processor is this machine's."
    )

    def __init__(self, state: State, cold_starts: int) -> None:
        self._state, self._cold_starts = state, cold_starts
        self._account: Account | None = None

    def client(self, service: str) -> Any:
        if self._account is None:
            raise BenchError("Nothing has been deployed yet.")
        return self._account.client(service)

    @contextmanager
    def deployed(self, subjects: Sequence[Subject], report: Callable[[str], None]) -> Iterator[Iterator[Subject]]:
        """Yield each subject when it is deployed."""
        try:
            yield self._one_by_one(subjects, report)
        finally:
            cloud.down(self._state)

    def _one_by_one(self, subjects: Sequence[Subject], report: Callable[[str], None]) -> Iterator[Subject]:
        base = {"inputs": {"uploads": {"enabled": False}}, "alarms": {"enabled": False}}
        for subject in subjects:
            report(f"deploying {subject.title}")
            function = {
                "memory_mib": subject.memory_mib,
                "log_level": "DEBUG",
                "reserved_concurrency": 8 * (self._cold_starts + 1),
            }
            settings = compose(base, {"function": function, "model": {"name": subject.model}})
            endpoint = cloud.up(self._state, 0, settings, Steps(lambda _step, _seconds: None))
            self._account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
            yield replace(subject, function=endpoint["outputs"]["FunctionName"])
