"""Quotas of Step Functions and its errors.

Source: Step Functions developer guide, 'Service quotas' and 'Error handling'; API reference of StartExecution and
RedriveExecution.
"""

from __future__ import annotations

# Of an execution's input, a task's or state's input or output, in bytes of UTF-8.
MAX_PAYLOAD_BYTES = 262_144
MAX_NAME_CHARACTERS = 80
MAX_LABEL_CHARACTERS = 40
MAX_DEFINITION_BYTES = 1_048_576
# Of a Distributed Map: items, parallel children, redrives of one Map Run, and bytes of the dataset that it reads.
MAX_ITEMS = 100_000_000
MAX_CHILDREN = 10_000
MAX_REDRIVES = 1000
MAX_DATASET_BYTES = 10 * 1024**3
MAX_CSV_HEADER_BYTES = 10 * 1024
MAX_HISTORY_EVENTS = 25_000
NAME_REUSE_DAYS = 90
REDRIVE_DAYS = 14

ITEM_READER_FAILED = "States.ItemReaderFailed"
RESULT_WRITER_FAILED = "States.ResultWriterFailed"
TOLERANCE_EXCEEDED = "States.ExceedToleratedFailureThreshold"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
RUNTIME = "States.Runtime"
PERMISSIONS = "States.Permissions"
# `States.ALL` catches neither.
TERMINAL_ERRORS = frozenset({DATA_LIMIT_EXCEEDED, RUNTIME})


class StatesError(Exception):
    """A state failed.

    Attributes
    ----------
    error
        Name of the error, as retriers and catchers match it.
    cause
        Readable cause.
    """

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class AbortedError(Exception):
    """The execution was stopped while a state of it ran."""


def check_payload(text: str, what: str) -> None:
    """Raise StatesError if a payload is larger than a state may take or give."""
    if len(text) * 4 > MAX_PAYLOAD_BYTES and len(text.encode()) > MAX_PAYLOAD_BYTES:
        message = f"The {what} exceeds the maximum number of bytes service limit ({MAX_PAYLOAD_BYTES})."
        raise StatesError(DATA_LIMIT_EXCEEDED, message)
