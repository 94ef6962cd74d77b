"""List one owner's jobs out of all executions, in bounded steps."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.errors import RequestInvalid
from loupe.jobs.ids import is_owned
from loupe.jobs.view import STATUSES, listed_job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loupe.jobs.engine import Engine

DEFAULT_LIMIT, MAX_LIMIT = 20, 100
# Pages of 1,000 executions that one request looks through. An account has five such calls a second, all its users
# together ("Step Functions service quotas", ListExecutions).
MAX_PAGES = 3
# Step Functions' tokens have at most 1,024 characters, and base64 adds a third.
_MAX_TOKEN = 2048


class Cursor(NamedTuple):
    """Position in a listing: a page of Step Functions (None: the first), and the job after which to continue in it."""

    page: str | None = None
    after: str | None = None

    def encode(self) -> str:
        """Return the opaque text of ``next``."""
        return base64.urlsafe_b64encode(json.dumps([*self]).encode()).decode().rstrip("=")


class ListRequest(NamedTuple):
    """Parameters of ``GET /v1/jobs``."""

    state: str | None
    limit: int
    cursor: Cursor


def read_list_request(query: Mapping[str, Sequence[str]]) -> ListRequest:
    """Read the query of ``GET /v1/jobs``.

    Raises
    ------
    loupe.errors.RequestInvalid
    """
    values = single_values(query, ("status", "limit", "next"))
    state = values.get("status")
    if state is not None and state not in STATUSES:
        raise RequestInvalid(f'"status" must be one of {", ".join(STATUSES)}.')
    limit = values.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= MAX_LIMIT):
        raise RequestInvalid(f'"limit" must be a whole number from 1 to {MAX_LIMIT}.')
    return ListRequest(state, int(limit), decode_cursor(values["next"]) if "next" in values else Cursor())


def list_jobs(engine: Engine, owner: str, request: ListRequest) -> dict[str, Any]:
    """Return a page of an owner's jobs, the latest first, and the token of the next page.

    A page may have fewer jobs than its limit, or none, and still be followed by others: the executions of all owners
    are searched, at most `MAX_PAGES` pages of them in one request.
    """
    page_token, after = request.cursor
    jobs: list[dict[str, Any]] = []
    for _ in range(MAX_PAGES):
        page = engine.page(None if request.state is None else STATUSES[request.state], page_token)
        names = [execution["name"] for execution in page.executions]
        # A job that has moved meanwhile (it ended, and pages are ordered by that) is not found: the page starts over.
        start = names.index(after) + 1 if after in names else 0
        for execution in page.executions[start:]:
            if is_owned(owner, execution["name"]):
                if len(jobs) == request.limit:
                    return {"jobs": jobs, "next": Cursor(page_token, jobs[-1]["id"]).encode()}
                jobs.append(listed_job(execution))
        page_token, after = page.token, None
        if page_token is None:
            return {"jobs": jobs, "next": None}
    return {"jobs": jobs, "next": Cursor(page_token).encode()}


def decode_cursor(text: str) -> Cursor:
    """Read the text that `Cursor.encode` wrote.

    Raises
    ------
    loupe.errors.RequestInvalid
    """
    invalid = RequestInvalid('"next" must be a value that an answer had. Begin again without it.')
    if len(text) > _MAX_TOKEN:
        raise invalid
    try:
        value = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise invalid from None
    if not (isinstance(value, list) and len(value) == 2 and all(part is None or _is_text(part) for part in value)):
        raise invalid
    return Cursor(*value)


def single_values(query: Mapping[str, Sequence[str]], allowed: tuple[str, ...]) -> dict[str, str]:
    """Return query parameters that may be sent once each.

    Raises
    ------
    loupe.errors.RequestInvalid
    """
    # Those of an AWS signature in the address are the gateway's.
    sent = {name: values for name, values in query.items() if not name.lower().startswith("x-amz-")}
    if not sent.keys() <= set(allowed):
        takes = f"There are {', '.join(allowed)}." if allowed else "This call takes none."
        raise RequestInvalid(f"A query parameter is unknown. {takes}")
    if any(len(values) != 1 for values in sent.values()):
        raise RequestInvalid("A query parameter is there more than once.")
    return {name: values[0] for name, values in sent.items()}


def _is_text(value: object) -> bool:
    """Whether a value can be a token of Step Functions or a job's id: printable ASCII."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_TOKEN and value.isascii() and value.isprintable()
