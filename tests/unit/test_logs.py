"""`make logs`: entries of several log groups in order, safe for a terminal, with sentences for AWS's failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from botocore import exceptions
from operations_fakes import DENIED, Scripted, ScriptedAws, stack, target
from typer.testing import CliRunner

from tools.doctor.aws import CallError
from tools.logs import __main__ as command
from tools.logs import reading
from tools.logs.entries import Kind, parse
from tools.logs.reading import Follower, Query, Source, read, read_all, sources
from tools.logs.since import parse_since
from tools.logs.text import as_json, as_lines
from tools.operations.plain import plain
from tools.operations.stack import read_stack

ID, OTHER = "6d7f3d1b-a0ee-42ac-a6ae-8e54f9872dc2", "183a07a6-0ab0-4b5d-981b-2e64288a7f5a"
FUNCTION, API = Source("function", "/aws/lambda/loupe-prod"), Source("api", "access")
REQUEST = {
    "level": "INFO", "message": "request", "timestamp": "2026-11-26T02:20:04.608Z", "service": "loupe",
    "environment": "prod", "model": "hair-type", "model_version": "1.1.0", "model_variant": "float16", "request_id": ID,
    "trigger": "http", "route": "classify", "cold_start": True, "duration_ms": 13.54, "stages_ms": {"decode": 2.0},
    "label": "curly", "probability": 0.99,
}  # fmt: skip


def event(timestamp: int, message: str | dict[str, Any], number: int = 0) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {
        "timestamp": timestamp,
        "message": text,
        "logStreamName": "2026/11/26/[8]0a1b",
        "ingestionTime": timestamp,
        "eventId": f"{timestamp}-{number}-{hash(text)}",
    }


def shown(message: str | dict[str, Any], source: str = "function") -> list[str]:
    return list(as_lines(parse(source, "group", event(1_795_659_604_610, message))))


def test_a_request_is_one_line_with_time_level_route_duration_and_id() -> None:
    (line,) = shown(REQUEST)
    assert line == (
        f"2026-11-26T02:20:04.610Z INFO    function   classify  ok  13.54 ms  {ID}  cold_start  label=curly  "
        "probability=0.99"
    )


def test_a_problem_shows_status_code_and_stack_trace() -> None:
    fault = {
        **REQUEST,
        "level": "ERROR",
        "status": 500,
        "code": "internal_error",
        "exception": "Traceback\n  f()\nE: x",
    }
    first, *rest = shown(fault)
    assert "ERROR   function   classify  500 internal_error  13.54 ms" in first
    assert rest == ["    | Traceback", "    |   f()", "    | E: x"]


def test_an_access_log_line_shows_method_path_status_and_both_ids() -> None:
    access = {
        "request_id": OTHER, "function_request_id": ID, "time": "26/Nov/2026", "ip": "203.0.113.9", "method": "POST",
        "path": "/v1/classify", "status": "502", "error": "-", "bytes": "12", "latency_ms": "31",
    }  # fmt: skip
    entry = parse("api", "access", event(0, access))
    assert (entry.kind, entry.level, entry.request_ids) == (Kind.access, "ERROR", (OTHER, ID))
    (line,) = as_lines(entry)
    assert f"POST /v1/classify  502  31 ms  {OTHER}  function_request_id={ID}  ip=203.0.113.9" in line


@pytest.mark.parametrize(
    ("message", "kind", "level", "ids"),
    [
        (f"START RequestId: {ID} Version: 8", Kind.platform, "INFO", (ID,)),
        (f"REPORT RequestId: {ID}\tDuration: 1 ms\tStatus: timeout", Kind.platform, "ERROR", (ID,)),
        (f"2026-11-26T02:20:04.000Z {ID} Task timed out after 15.00 seconds", Kind.platform, "ERROR", (ID,)),
        (f"RequestId: {ID} Error: Runtime exited with error: signal: killed", Kind.platform, "ERROR", (ID,)),
        ("INIT_REPORT Init Duration: 10008.42 ms\tPhase: init\tStatus: timeout", Kind.platform, "ERROR", ()),
        ('{"_aws": {"Timestamp": 1}, "Requests": [1]}', Kind.metrics, "DEBUG", ()),
        ('{"level": "INFO", "message": "unauthorized: unknown key"}', Kind.record, "INFO", ()),
        ('{"level": "LOUD", "request_id": 7}', Kind.record, "INFO", ()),
        ("{not json", Kind.text, "INFO", ()),
        ("[" * 100_000, Kind.text, "INFO", ()),
        ("", Kind.text, "INFO", ()),
    ],
)
def test_every_line_has_a_kind_and_a_level(message: str, kind: Kind, level: str, ids: tuple[str, ...]) -> None:
    entry = parse("function", "group", event(0, message))
    assert (entry.kind, entry.level, entry.request_ids) == (kind, level, ids)
    assert list(as_lines(entry))


HOSTILE = "a\x1b[2J\x1b]0;title\x07\rb\u202ec\u2028d\x9be\x7f\u200bf\U000e0041"


@pytest.mark.parametrize("message", [HOSTILE, {**REQUEST, "label": HOSTILE}, {**REQUEST, "exception": HOSTILE}])
def test_no_control_character_reaches_the_terminal(message: Any) -> None:
    text = "".join(shown(message))
    assert text.isprintable()
    assert "\\x1b[2J" in text
    assert json.loads(as_json(parse("function", "g", event(0, message))))["message"]
    assert as_json(parse("function", "g", event(0, message))).isprintable()


def test_a_logged_line_break_cannot_pass_for_an_entry() -> None:
    forged = "2026-11-26T02:20:04.610Z ERROR   function   forged"
    _, second = shown(f"text\n{forged}")
    assert second == f"    | {forged}"


def test_long_lines_are_shortened_except_in_json() -> None:
    (line,) = shown("x" * 300_000)
    assert len(line) < 700
    assert len(as_json(parse("function", "g", event(0, "x" * 300_000)))) > 300_000


def test_plain_keeps_letters_of_every_language() -> None:
    assert plain("gelockt – 巻き毛 é") == "gelockt – 巻き毛 é"


def _pages(events: dict[str, list[list[dict[str, Any]]]]) -> Scripted:
    """FilterLogEvents over pages of log groups; an empty page may have a successor."""

    def answer(**arguments: Any) -> Any:
        group = arguments["logGroupName"]
        if group not in events:
            return ("ResourceNotFoundException", "The specified log group does not exist.", 400)
        pages, number = events[group], int(arguments.get("nextToken", 0))
        more = {"nextToken": str(number + 1)} if number + 1 < len(pages) else {}
        return {"events": pages[number] if pages else [], **more}

    return answer


def test_groups_are_merged_by_time_over_all_pages() -> None:
    aws = ScriptedAws(
        {
            "logs.filter_log_events": _pages(
                {
                    FUNCTION.group: [[event(1, "f1")], [], [event(4, "f4"), event(6, "f6")]],
                    API.group: [[event(2, "a2"), event(5, "a5")]],
                }
            )
        }
    )
    groups = [FUNCTION, API, Source("bulk", "not there yet")]
    assert [entry.message for entry in read_all(aws, groups, Query(), 0)] == ["f1", "a2", "f4", "a5", "f6"]


def test_filters_are_applied_by_cloudwatch_and_checked_again() -> None:
    lines = [
        event(1, REQUEST),
        event(2, {**REQUEST, "request_id": OTHER, "cause": ID}),
        event(3, f"REPORT RequestId: {ID}\tDuration: 1 ms"),
        event(4, f"END RequestId: {ID}"),
        event(5, {"_aws": {}, "request_id": ID}),
    ]
    aws = ScriptedAws({"logs.filter_log_events": {"events": lines}})
    entries = list(read(aws, FUNCTION, Query(request=ID), 5, 9))
    assert [entry.timestamp for entry in entries] == [1, 3]
    assert aws.arguments("logs.filter_log_events") == [
        {"logGroupName": FUNCTION.group, "startTime": 5, "endTime": 9, "filterPattern": f'"{ID}"'}
    ]


@pytest.mark.parametrize(
    ("query", "timestamps"),
    [
        (Query(), [1, 2, 3]),
        (Query(level="ERROR"), [3]),
        (Query(code="image_undecodable"), [2]),
        (Query(everything=True), [1, 2, 3, 4, 5]),
        (Query(everything=True, level="INFO"), [1, 2, 3, 4]),
    ],
)
def test_entries_are_chosen_by_level_and_code(query: Query, timestamps: list[int]) -> None:
    lines = [
        event(1, REQUEST),
        event(2, {**REQUEST, "item_codes": {"image_undecodable": 2}}),
        event(3, "2026 Task timed out after 15.00 seconds"),
        event(4, f"END RequestId: {ID}"),
        event(5, {"_aws": {}}),
    ]
    aws = ScriptedAws({"logs.filter_log_events": {"events": lines}})
    assert [entry.timestamp for entry in read(aws, FUNCTION, query, 0)] == timestamps


def _configuration(**arguments: Any) -> Any:
    name = arguments["FunctionName"]
    logging = {} if name == "loupe-prod" else {"LoggingConfig": {"LogGroup": f"{name}-logs"}}
    return {"FunctionName": name, **logging}


def test_sources_are_the_functions_of_the_deployment_and_the_access_log() -> None:
    it = target({**stack(), "lambda.get_function_configuration": _configuration})
    assert sources(it.aws, read_stack(it), "prod") == [
        Source("function", "/aws/lambda/loupe-prod"),
        Source("api", "Loupe-prod-ApiAccessLog713001CC-X"),
        Source("bulk", "loupe-prod-bulk-logs"),
    ]


class Clock:
    """Advances by the seconds that are waited."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.pauses: list[float] = []

    def __call__(self) -> int:
        return int(self.now)

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds * 1000


def test_following_shows_each_entry_once_and_those_that_come_late() -> None:
    clock = Clock()
    polls: Iterator[Any] = iter(
        [
            {"events": [event(999_000, "first")]},
            {"events": [event(998_000, "late"), event(999_000, "first"), event(1_001_000, "second")]},
            {"events": [event(1_001_000, "second"), event(1_003_000, "third")]},
        ]
    )
    aws = ScriptedAws({"logs.filter_log_events": lambda **_: next(polls)})
    follower = Follower(aws, [FUNCTION], Query(), clock, clock.wait)
    messages = [entry.message for entry in islice(follower.follow(0), 4)]
    assert messages == ["first", "late", "second", "third"]
    starts = [arguments["startTime"] for arguments in aws.arguments("logs.filter_log_events")]
    assert starts == [0, 1_000_000 - reading.OVERLAP_MS, 1_002_000 - reading.OVERLAP_MS]


def test_following_holds_a_bounded_number_of_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_IDS", 10)
    aws = ScriptedAws({"logs.filter_log_events": {"events": [event(n, "x", n) for n in range(1000)]}})
    follower = Follower(aws, [FUNCTION], Query(), Clock(), Clock().wait)
    assert len(list(follower.once(0))) == 1000
    assert len(follower._ids) == 10


def test_following_continues_after_throttling_with_longer_pauses() -> None:
    clock, notices = Clock(), list[str]()
    throttled = ("ThrottlingException", "Rate exceeded", 400)
    polls: Iterator[Any] = iter([*[throttled] * 5, {"events": [event(1_000_000, "at last")]}])
    aws = ScriptedAws({"logs.filter_log_events": lambda **_: next(polls)})
    follower = Follower(aws, [FUNCTION], Query(), clock, clock.wait, notices.append)
    assert next(follower.follow(0)).message == "at last"
    assert clock.pauses == [4, 8, 16, 30, 30]
    assert notices[0] == "AWS throttles the log; next attempt in 4 s."


def test_following_ends_when_the_credentials_expire() -> None:
    aws = ScriptedAws({"logs.filter_log_events": ("ExpiredTokenException", "The security token has expired", 400)})
    with pytest.raises(CallError, match="have expired"):
        next(Follower(aws, [FUNCTION], Query(), Clock(), Clock().wait).follow(0))


NOW = datetime(2026, 11, 26, 2, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 11, 26, 2, 18, 30, tzinfo=UTC)),
        ("15m", datetime(2026, 11, 26, 2, 5, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 26, 0, 20, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 25, 2, 20, tzinfo=UTC)),
        ("2026-11-26T01:00", datetime(2026, 11, 26, 1, tzinfo=UTC)),
        ("2026-11-26T03:00+02:00", datetime(2026, 11, 26, 1, tzinfo=UTC)),
    ],
)
def test_since_takes_durations_and_times(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "15", "m", "yesterday", "2027-01-01", "9999999d"])
def test_other_values_of_since_are_rejected_with_a_clear_message(text: str) -> None:
    with pytest.raises(ValueError, match=r"is neither a duration|is in the future"):
        parse_since(text, NOW)


def run(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Scripted], *options: str) -> tuple[int, str, str]:
    healthy = {**stack(), "lambda.get_function_configuration": _configuration}
    monkeypatch.setattr(command, "connect", lambda *_, **__: target({**healthy, **answers}))
    result = CliRunner().invoke(command.app, ["--env", "prod", *options])
    return result.exit_code, result.stdout, result.stderr


EVENTS = {"logs.filter_log_events": _pages({FUNCTION.group: [[event(n, f"line {n}") for n in range(5)]]})}


def test_the_command_prints_the_newest_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(monkeypatch, EVENTS, "--lines", "2")
    assert (code, [line.split()[-1] for line in out.splitlines()]) == (0, ["3", "4"])
    assert "3 older entries are left out" in err
    assert len(run(monkeypatch, EVENTS, "--lines", "0")[1].splitlines()) == 5
    assert json.loads(run(monkeypatch, EVENTS, "--json")[1].splitlines()[0])["message"] == "line 0"


def test_nothing_to_show_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run(monkeypatch, {"logs.filter_log_events": {"events": []}})
    assert (code, out, "No entries since" in err) == (0, "", True)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"cloudformation.describe_stacks": exceptions.NoCredentialsError()}, "There are no usable AWS credentials"),
        ({"cloudformation.describe_stacks": ("ExpiredToken", "expired", 403)}, "The AWS credentials have expired"),
        (
            {"cloudformation.describe_stacks": ("ValidationError", "Stack with id Loupe-prod does not exist", 400)},
            "There is no stack Loupe-prod in eu-central-1",
        ),
        (
            {"logs.filter_log_events": ("ThrottlingException", "Rate exceeded", 400)},
            "throttled: logs:FilterLogEvents",
        ),
        ({"logs.filter_log_events": DENIED}, "not permitted: logs:FilterLogEvents"),
    ],
)
def test_failures_of_aws_are_sentences(monkeypatch: pytest.MonkeyPatch, answers: Any, sentence: str) -> None:
    code, out, err = run(monkeypatch, answers)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "options",
    [
        ("--request", 'x" or "y'),
        ("--code", "UPPER"),
        ("--level", "LOUD"),
        ("--since", "soon"),
        ("--source", "nobody"),
    ],
)
def test_invalid_options_are_rejected_with_a_clear_message(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, str]
) -> None:
    code, _, err = run(monkeypatch, EVENTS, *options)
    assert (code, options[1].partition('"')[0] in err) == (2, True)


def test_ctrl_c_ends_following_cleanly(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupt)
    code, out, err = run(monkeypatch, EVENTS, "--follow")
    assert (code, len(out.splitlines()), "Traceback" in err) == (0, 5, False)


def test_no_local_cloud_is_reported_clearly(tmp_path: Any) -> None:
    result = CliRunner().invoke(command.app, ["--env", "local", "--state", str(tmp_path)])
    assert (result.exit_code, "`make up` starts one" in result.stderr) == (2, True)
