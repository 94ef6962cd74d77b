"""Read log groups with FilterLogEvents: page by page, merged by time, once or again and again."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tools.doctor.aws import Aws, CallError
from tools.logs.entries import LEVELS, Entry, Kind, parse
from tools.operations.stack import Stack

# Events reach CloudWatch Logs some seconds after their timestamp; what comes later than this is not followed.
OVERLAP_MS = 20_000
# Event ids of the overlap, about 5 MB. With more events in it, the oldest may be shown twice.
MAX_IDS = 50_000
POLL_SECONDS = 2.0
# Polls that AWS throttled in a row are followed by longer pauses, up to this.
LONGEST_PAUSE_SECONDS = 30.0


class Source(NamedTuple):
    """A log group, and the name by which its lines are shown."""

    name: str
    group: str


@dataclass(frozen=True)
class Query:
    """Filter for entries.

    Attributes
    ----------
    request, code
        Exact values; None for all.
    level
        The lowest.
    everything
        Also START, END and REPORT lines of healthy invocations, and lines of the embedded metric format.
    """

    request: str | None = None
    code: str | None = None
    level: str = "DEBUG"
    everything: bool = False

    @property
    def pattern(self) -> dict[str, str]:
        """FilterLogEvents' own filter, so that other events are not transferred: a quoted term is searched as it is."""
        term = self.request or self.code
        return {"filterPattern": f'"{term}"'} if term else {}

    def matches(self, entry: Entry) -> bool:
        if self.request is not None and self.request not in entry.request_ids and entry.kind is not Kind.text:
            return False
        if self.code is not None and self.code not in entry.codes:
            return False
        if self.everything:
            return LEVELS.index(entry.level) >= LEVELS.index(self.level)
        if entry.kind is Kind.metrics:
            return False
        if entry.kind is Kind.platform and entry.level != "ERROR":
            # A request's own REPORT line says how much time and memory it took.
            return self.request is not None and entry.message.startswith("REPORT ") and self.level in ("DEBUG", "INFO")
        return LEVELS.index(entry.level) >= LEVELS.index(self.level)


def sources(aws: Aws, stack: Stack, environment: str) -> list[Source]:
    """Return the log groups of the deployment's functions and the access log of its API.

    Raises
    ------
    CallError
    """
    prefix, sources = f"loupe-{environment}", []
    for name in stack.physical("AWS::Lambda::Function"):
        # The CDK's own functions, such as those of custom resources, have other names.
        if name != prefix and not name.startswith(f"{prefix}-"):
            continue
        configuration = aws.call("lambda", "get_function_configuration", FunctionName=name)
        group = (configuration.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        sources.append(Source(name.removeprefix(prefix).lstrip("-") or "function", group))
    sources += [Source("api", group) for group in stack.physical("AWS::Logs::LogGroup", "AccessLog")]
    return sorted(sources, key=lambda source: (source.name != "function", source.name))


def read(aws: Aws, source: Source, query: Query, start: int, end: int | None = None) -> Iterator[Entry]:
    """Yield the matching entries of one log group in the order of their timestamps (ms), one page in memory.

    A group that does not exist yet has none: Lambda creates some at the first invocation.

    Raises
    ------
    CallError
    """
    arguments: dict[str, Any] = {"logGroupName": source.group, "startTime": start, **query.pattern}
    if end is not None:
        arguments["endTime"] = end
    try:
        # A page may be empty and yet have a successor.
        for event in aws.pages("logs", "filter_log_events", "events", **arguments):
            entry = parse(source.name, source.group, event)
            if query.matches(entry):
                yield entry
    except CallError as failure:
        if failure.code != "ResourceNotFoundException":
            raise


def read_all(aws: Aws, groups: Sequence[Source], query: Query, start: int, end: int | None = None) -> Iterator[Entry]:
    """Yield the entries of several log groups, merged by timestamp."""
    readers = [read(aws, source, query, start, end) for source in groups]
    return heapq.merge(*readers, key=lambda entry: entry.timestamp)


@dataclass
class Follower:
    """Reads the same groups again and again, and yields each entry once, in bounded memory.

    Parameters
    ----------
    clock
        Milliseconds since 1970.
    wait
        Sleeps for seconds.
    notice
        Receives a message about each pause.
    """

    aws: Aws
    groups: Sequence[Source]
    query: Query
    clock: Callable[[], int]
    wait: Callable[[float], None]
    notice: Callable[[str], None] = field(default=lambda _: None)

    def __post_init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def once(self, start: int) -> Iterator[Entry]:
        """Yield the entries since a timestamp that were not yielded before.

        Raises
        ------
        CallError
        """
        return filter(self._is_new, read_all(self.aws, self.groups, self.query, start))

    def follow(self, start: int) -> Iterator[Entry]:
        """Yield entries until interrupted.

        Raises
        ------
        CallError
            If AWS rejects a call for another reason than its rate.
        """
        pause = POLL_SECONDS
        while True:
            started = self.clock()
            try:
                yield from self.once(start)
            except CallError as failure:
                if not failure.throttled:
                    raise
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                self.notice(f"AWS throttles the log; next attempt in {pause:.0f} s.")
            else:
                pause = POLL_SECONDS
                start = max(start, started - OVERLAP_MS)
            self.wait(pause)

    def _is_new(self, entry: Entry) -> bool:
        if entry.event_id in self._ids:
            return False
        self._ids[entry.event_id] = None
        if len(self._ids) > MAX_IDS:
            self._ids.popitem(last=False)
        return True
