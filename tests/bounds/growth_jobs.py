"""Readers of bulk jobs: requests, ids, list tokens, rows of manifests, and the files of a map run."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial

from events import rest
from growth import Reader, repeated
from loupe.bulk.items import is_skipped, read_item
from loupe.bulk.rows import read_rows
from loupe.bulk.uploads import read_arrival
from loupe.errors import ItemInvalid, ManifestInvalid, Problem
from loupe.http.envelope import unwrap
from loupe.jobs.ids import new_id, owned_id
from loupe.jobs.listing import decode_cursor
from loupe.jobs.manifest import check_beginning
from loupe.jobs.outputs import MAX_VALUE_CHARACTERS, OutputsError, json_values
from loupe.jobs.owners import owner_of
from loupe.jobs.request import JobRules, job_from_http
from loupe.jobs.routes import find_job_route
from loupe.sources.s3 import S3Location, S3Rules

OWNER = "0" * 20
RULES = JobRules(S3Rules((S3Location("photos"),)), "loupe-results", OWNER, 20)
# API Gateway takes 10,240 bytes of headers and address together.
HEADER_BYTES = 65_536


def _identified(text: str) -> None:
    """Use a caller's text as path, id, idempotency key and identity."""
    for call in (
        lambda: find_job_route("GET", f"/v1/jobs/{text}"),
        lambda: find_job_route("POST", f"/v1/models/{text}/jobs", models=True),
        lambda: owned_id(OWNER, text),
        lambda: owned_id(OWNER, OWNER + "-" + text),
        lambda: new_id(OWNER, text),
    ):
        with suppress(Problem):
            call()
    owner_of({"requestContext": {"identity": {"userArn": text}}}, "iam")
    unwrap({**rest("GET", f"/{text}"), "resource": "/v1/jobs/{id}"})


def _row(text: str) -> None:
    for row in ({"s3": text}, {"key": text}, {"Key": text}, {text: text}):
        read_item({"index": 0, "item": row}, "prefix" if "Key" in row else "jsonl", "photos")
    is_skipped(text)


def _values(text: str) -> None:
    pieces = (text[start : start + 65_536] for start in range(0, len(text), 65_536))
    for _ in json_values(pieces):
        pass


READERS = (
    Reader(
        "JSON",
        ("loupe.jobs.request:job_from_http",),
        lambda body: job_from_http(unwrap(rest(path="/v1/jobs", body=body)), RULES),
        {
            "a long manifest": repeated(b"a", b'{"manifest":"s3://photos/', b'.jsonl"}'),
            "dots": repeated(b"/..", b'{"prefix":"s3://photos/', b'/"}'),
            "many keys": repeated(b'"a":0,', b"{", b'"a":0}'),
            "nested lists": repeated(b"["),
            "white space": repeated(b" "),
            "a long number": repeated(b"9", b'{"manifest":"s3://photos/a.jsonl","top":', b"}"),
        },
        1.0,
        (Problem,),
    ),
    *(
        Reader(
            "batch",
            ("loupe.jobs.manifest:check_beginning",),
            partial(check_beginning, kind=kind, whole=True),
            {
                "one long row": repeated(b"x", b'{"key":"', b'"}\n'),
                "quotation marks": repeated(b'"'),
                "commas": repeated(b",", b"key"),
                "nested lists": repeated(b"[", b"", b"\n"),
                "many rows": repeated(b"{}\n"),
                "white space": repeated(b" \n"),
            },
            1.0,
            (ManifestInvalid,),
        )
        for kind in ("jsonl", "csv")
    ),
    Reader(
        "URL",
        ("loupe.jobs.ids:owned_id", "loupe.jobs.routes:find_job_route"),
        _identified,
        {
            "digits": repeated("0"),
            "slashes": repeated("/"),
            "dashes": repeated("-"),
            "colons": repeated(":assumed-role/"),
        },
        2.0,
        largest=HEADER_BYTES,
    ),
    Reader(
        "URL",
        ("loupe.jobs.listing:decode_cursor",),
        decode_cursor,
        {"letters": repeated("A"), "brackets": repeated("W1tb"), "padding": repeated("=")},
        1.0,
        (Problem,),
        largest=HEADER_BYTES,
    ),
    Reader(
        "S3 key",
        ("loupe.bulk.items:read_item",),
        _row,
        {
            "a long key": repeated("k"),
            "slashes": repeated("/"),
            "dots": repeated("."),
            "control characters": repeated("\x00"),
            "a long address": repeated("b", "s3://"),
            "other scripts": repeated("\u0665"),
        },
        1.0,
    ),
    Reader(
        "batch",
        ("loupe.bulk.rows:read_rows",),
        read_rows,
        {
            "many rows": lambda size: b"".join(b'{"index":%d}\n' % number for number in range(size // 14)),
            "empty lines": repeated(b"\n"),
            "a long row": repeated(b"x", b'{"index":0,"key":"', b'"}\n'),
        },
        4.0,
    ),
    Reader(
        "JSON",
        ("loupe.bulk.uploads:read_arrival",),
        read_arrival,
        {
            "nested lists": repeated("["),
            "a long key": lambda size: json.dumps(
                {
                    "detail-type": "Object Created",
                    "detail": {"bucket": {"name": "b"}, "object": {"key": "k" * size, "sequencer": "1"}},
                }
            ),
            "many keys": repeated('"a":0,', "{", '"a":0}'),
        },
        1.0,
        (ItemInvalid,),
    ),
    Reader(
        "JSON",
        ("loupe.jobs.outputs:json_values",),
        _values,
        {
            "many values": repeated('{"rows":1}\n'),
            "an array": repeated('{"rows":1},', "["),
            "brackets": repeated("["),
            "a long value": repeated("x", '{"a":"'),
            "no JSON": repeated("x"),
        },
        4.0,
        (OutputsError,),
        largest=MAX_VALUE_CHARACTERS,
    ),
)
