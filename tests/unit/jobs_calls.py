"""Calls of the job routes over fakes of Step Functions, S3 and Lambda aliases."""

from __future__ import annotations

import json
from typing import Any

from bulk_fakes import NOW, RESULTS, FakeAliases, FakeBucketStore, FakeStepFunctions, jobs_settings
from events import Context, body_of, rest
from jsonschema import Draft202012Validator
from loupe.jobs.actions import JobActions
from loupe.jobs.api import JobsApi
from loupe.jobs.engine import Engine
from loupe.jobs.storage import ResultsBucket

from tools.contract import document

DOCUMENT = document()
MANIFEST = {"manifest": "s3://photos/a.jsonl"}
OBJECTS = {
    ("photos", "a.jsonl"): b'{"key": "a.jpg"}\n' * 120,
    ("photos", "b.csv"): b"key\na.jpg\nb.jpg\n",
    ("photos", "empty.jsonl"): b"",
    ("photos", "header.csv"): b"key\n",
    ("photos", "array.jsonl"): b'["a.jpg"]\n{"key": "b.jpg"}\n',
    ("photos", "broken.jsonl"): b'{"key": "a.jpg"\n{"key": "b.jpg"}\n',
    ("photos", "deep.jsonl"): b"[" * 50_000 + b"\n",
    ("photos", "mark.jsonl"): b'\xef\xbb\xbf{"key": "a.jpg"}\n',
    ("photos", "wide.jsonl"): '{"key": "a.jpg"}\n'.encode("utf-16"),
    ("photos", "wide-unmarked.jsonl"): '{"key": "a.jpg"}\n'.encode("utf-16-le"),
    ("photos", "wide.csv"): "key\na.jpg\n".encode("utf-16"),
    ("photos", "later-broken.jsonl"): b'{"key": "a.jpg"}\n\n{"key": \n{"key": "b.jpg"}\n',
    ("photos", "later-latin.jsonl"): b'{"key": "a.jpg"}\n{"key": "gr\xfcn.jpg"}\n',
    ("photos", "nan.jsonl"): b'{"key": "a.jpg"}\n{"key": "b.jpg", "score": NaN}\n',
    ("photos", "one-array.jsonl"): b'["a.jpg"]',
    ("photos", "blank.jsonl"): b"\n" * 70_000 + b'{"key": "a.jpg"}\n',
    ("photos", "blank-line.csv"): b"\nkey\na.jpg\n",
    ("photos", "later-latin.csv"): b"key\na.jpg\ngr\xfcn.jpg\n",
    ("photos", "twice.csv"): b"key,note,note\na.jpg,b,c\n",
    ("photos", "names.csv"): b"name,size\na.jpg,3\n",
    ("photos", "headless.csv"): b"a.jpg\nb.jpg\n",
    ("photos", "latin.csv"): b"key,gr\xf6\xdfe\na.jpg,3\n",
    ("photos", "quoted.csv"): b'"note, long","key"\r\n"a ""b""",c.jpg\r\n',
    ("photos", "folder/"): b"",
    ("photos", "folder/a.jpg"): b"x",
    ("photos", "folder/b.txt"): b"x",
    ("photos", "folder/c"): b"x",
    ("photos", "notes/a.txt"): b"x",
}


class Jobs:
    """The API over fakes; ``call`` validates each answer against the OpenAPI document."""

    def __init__(self, **settings: str) -> None:
        self.settings = jobs_settings(**settings)
        self.states, self.s3, self.aliases = FakeStepFunctions(), FakeBucketStore(OBJECTS), FakeAliases()
        self.now = NOW
        engine = Engine(self.settings.state_machine_arn, self.states, self.aliases)
        results = ResultsBucket(RESULTS, self.s3, 900)
        actions = JobActions(self.settings, engine, self.s3, results, lambda: self.now)
        self.api = JobsApi(self.settings, engine, actions, results)

    def call(
        self, method: str, path: str, body: Any = None, *, caller: str = "key-1", **options: Any
    ) -> dict[str, Any]:
        event = self.event(method, path, body, caller=caller, **options)
        answer = self.api.http(event, Context())
        operation = DOCUMENT["paths"].get(event["resource"], {}).get(method.lower())
        if operation is not None:
            response = operation["responses"][str(answer["statusCode"])]
            media = response["content"][answer["headers"]["Content-Type"]]
            schema = {**media["schema"], "components": DOCUMENT["components"]}
            Draft202012Validator(schema).validate(body_of(answer))
            if answer["statusCode"] >= 400:
                assert body_of(answer)["code"] in media["examples"]
        return answer

    def event(
        self, method: str, path: str, body: Any = None, *, caller: str = "key-1", key: str | None = None, **options: Any
    ) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        text = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        event = rest(method, path, text, headers, **options)
        event["requestContext"]["identity"] = {"apiKeyId": caller}
        parts = path.split("/")
        if len(parts) > 3:
            parameter = "{name}" if parts[2] == "models" else "{id}"
            event["resource"] = "/".join([*parts[:3], parameter, *parts[4:]])
        return event

    def start(self, body: Any = None, **options: Any) -> dict[str, Any]:
        answer = self.call("POST", "/v1/jobs", MANIFEST if body is None else body, **options)
        assert answer["statusCode"] == 202, answer["body"]
        return body_of(answer)

    def code(self, *arguments: Any, **options: Any) -> tuple[int, str]:
        answer = self.call(*arguments, **options)
        return answer["statusCode"], body_of(answer).get("code", "")

    def input_of(self, job_id: str) -> dict[str, Any]:
        return json.loads(self.states.executions[job_id]["input"])["job"]
