"""Ids of jobs. An id is the name of the job's execution: its owner's digest, then a digest of the idempotency key.

Step Functions cannot list executions by anything but their status; the owner in the name is what a listing filters by.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from loupe.errors import JobNotFound, RequestInvalid
from loupe.jobs.owners import DIGEST_CHARACTERS

_KEY_CHARACTERS = 32
_ID = re.compile(rf"[0-9a-f]{{{DIGEST_CHARACTERS}}}-[0-9a-f]{{{_KEY_CHARACTERS}}}")
# Printable ASCII, as a header's value may be (RFC 9110, 5.5).
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def new_id(owner: str, idempotency_key: str | None) -> str:
    """Return the id of a job that an owner starts: the same for the same key, a random one without a key.

    Raises
    ------
    loupe.errors.RequestInvalid
        If the key is not 1 to 255 printable ASCII characters.
    """
    if idempotency_key is None:
        return f"{owner}-{secrets.token_hex(_KEY_CHARACTERS // 2)}"
    if len(idempotency_key) > 255 or not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise RequestInvalid("Idempotency-Key must be 1 to 255 printable ASCII characters, such as a UUID.")
    digest = hashlib.sha256(idempotency_key.encode("ascii")).hexdigest()[:_KEY_CHARACTERS]
    return f"{owner}-{digest}"


def owned_id(owner: str, text: str) -> str:
    """Return a job id of a request's path if it may be the owner's.

    Raises
    ------
    loupe.errors.JobNotFound
        If it cannot be: jobs of others and ids that do not exist get the same response.
    """
    if len(text) > DIGEST_CHARACTERS + _KEY_CHARACTERS + 1 or not _ID.fullmatch(text) or not is_owned(owner, text):
        raise missing()
    return text


def is_owned(owner: str, job_id: str) -> bool:
    """Whether a job id is one of the owner's."""
    return job_id.startswith(f"{owner}-")


def missing() -> JobNotFound:
    """Return the problem of a job that does not exist or belongs to another caller."""
    return JobNotFound(
        "You have no job of this id. A job that was just started may take a moment to appear; one that ended more than "
        "90 days ago is no longer known."
    )
