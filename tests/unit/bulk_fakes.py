"""AWS in memory for bulk jobs: S3, Step Functions and Lambda that answer and fail as AWS does."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from loupe.jobs.settings import JobsSettings

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MACHINE = "arn:aws:states:eu-west-1:111122223333:stateMachine:loupe-bulk"
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:loupe-bulk"
RESULTS = "loupe-results"
ENVIRONMENT = {
    "LOUPE_ENVIRONMENT": "test",
    "LOUPE_AUTH_MODE": "api-key",
    "LOUPE_BULK_STATE_MACHINE_ARN": MACHINE,
    "LOUPE_BULK_FUNCTION_ARN": FUNCTION,
    "LOUPE_BULK_RESULTS_BUCKET": RESULTS,
    "LOUPE_BULK_MAX_CONCURRENCY": "20",
    "LOUPE_BULK_BATCH_ITEMS": "50",
    "LOUPE_BULK_SECONDS_PER_IMAGE": "0.02",
    "LOUPE_BULK_USD_PER_SECOND": "0.00003",
    "LOUPE_BULK_USD_PER_BATCH": "0.00006",
    "LOUPE_BULK_USD_PER_IMAGE": "0.0000004",
    "LOUPE_S3_LOCATIONS": "photos,archive/2026/",
    "LOUPE_UPLOAD_BUCKET": "loupe-uploads",
}
# Error code -> HTTP status, as S3 and Step Functions have them.
STATUS = {
    "AccessDenied": 403,
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "PreconditionFailed": 412,
    "InvalidRange": 416,
    "SlowDown": 503,
    "ThrottlingException": 400,
    "TooManyRequestsException": 429,
    "AccessDeniedException": 400,
    "ServiceUnavailable": 503,
}


def jobs_settings(**changes: str) -> JobsSettings:
    return JobsSettings.from_environment({**ENVIRONMENT, **changes})


def client_error(code: str, operation: str = "Call") -> ClientError:
    message = "User: arn:aws:sts::111122223333:assumed-role/loupe/x is not authorized"
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": STATUS.get(code, 400)},
        },  # type: ignore[typeddict-item]
        operation,
    )


class Body(io.BytesIO):
    """Like botocore's StreamingBody: also a context manager."""


class FakeBucketStore:
    """S3 by (bucket, key). ``fail`` maps an operation to the errors of its next calls, each a code or an exception."""

    def __init__(self, objects: dict[tuple[str, str], bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.fail: dict[str, list[str | Exception]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def _called(self, operation: str, arguments: dict[str, Any]) -> None:
        self.calls.append((operation, arguments))
        failures = self.fail.get(operation)
        if failures:
            failure = failures.pop(0)
            raise client_error(failure, operation) if isinstance(failure, str) else failure

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        self._called("get_object", arguments)
        content = self.objects.get((arguments["Bucket"], arguments["Key"]))
        if content is None:
            raise client_error("NoSuchKey", "GetObject")
        if "Range" not in arguments:
            return {"Body": Body(content), "ContentLength": len(content)}
        first, last = map(int, arguments["Range"].removeprefix("bytes=").split("-"))
        if first >= len(content):
            raise client_error("InvalidRange", "GetObject")
        part = content[first : last + 1]
        return {
            "Body": Body(part),
            "ContentLength": len(part),
            "ContentRange": f"bytes {first}-{first + len(part) - 1}/{len(content)}",
        }

    def put_object(self, **arguments: Any) -> dict[str, Any]:
        self._called("put_object", arguments)
        place = arguments["Bucket"], arguments["Key"]
        if arguments.get("IfNoneMatch") == "*" and place in self.objects:
            raise client_error("PreconditionFailed", "PutObject")
        body = arguments["Body"]
        self.objects[place] = body if isinstance(body, bytes) else body.read()
        return {}

    def list_objects_v2(self, **arguments: Any) -> dict[str, Any]:
        self._called("list_objects_v2", arguments)
        after = arguments.get("ContinuationToken") or arguments.get("StartAfter") or ""
        most = arguments.get("MaxKeys", 1000)
        keys = sorted(
            key
            for bucket, key in self.objects
            if bucket == arguments["Bucket"] and key.startswith(arguments["Prefix"]) and key > after
        )
        page: dict[str, Any] = {"IsTruncated": len(keys) > most, "KeyCount": len(keys[:most])}
        if keys:
            page["Contents"] = [
                {"Key": key, "Size": len(self.objects[arguments["Bucket"], key])} for key in keys[:most]
            ]
        if len(keys) > most:
            page["NextContinuationToken"] = keys[most - 1]
        return page

    def generate_presigned_url(self, operation: str, /, **arguments: Any) -> str:
        place = arguments["Params"]
        return f"https://{place['Bucket']}.s3.amazonaws.com/{place['Key']}?expires={arguments['ExpiresIn']}"


class FakeStepFunctions:
    """Executions of one state machine.

    ``fail`` is as in `FakeBucketStore`. ``hidden`` names executions that are too new for a description, which is
    eventually consistent.
    """

    def __init__(self, now: datetime = NOW) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.map_runs: dict[str, dict[str, Any]] = {}
        self.fail: dict[str, list[str | Exception]] = {}
        self.hidden: set[str] = set()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.now, self.page_size = now, 1000

    def _called(self, operation: str, arguments: dict[str, Any]) -> None:
        self.calls.append((operation, arguments))
        failures = self.fail.get(operation)
        if failures:
            failure = failures.pop(0)
            raise client_error(failure, operation) if isinstance(failure, str) else failure

    def _execution(self, arn: str) -> dict[str, Any]:
        head, _, name = arn.rpartition(":")
        assert head == MACHINE.replace(":stateMachine:", ":execution:")
        if name not in self.executions or name in self.hidden:
            raise client_error("ExecutionDoesNotExist")
        return self.executions[name]

    def start_execution(self, **arguments: Any) -> dict[str, Any]:
        self._called("start_execution", arguments)
        assert arguments["stateMachineArn"] == MACHINE
        name = arguments["name"]
        existing = self.executions.get(name)
        if existing is None:
            self.now += timedelta(seconds=1)
            self.executions[name] = {
                "name": name,
                "status": "RUNNING",
                "startDate": self.now,
                "input": arguments["input"],
            }
        elif existing["status"] != "RUNNING" or existing["input"] != arguments["input"]:
            raise client_error("ExecutionAlreadyExists")
        return {"executionArn": name, "startDate": self.executions[name]["startDate"]}

    def describe_execution(self, **arguments: Any) -> dict[str, Any]:
        self._called("describe_execution", arguments)
        return dict(self._execution(arguments["executionArn"]))

    def stop_execution(self, **arguments: Any) -> dict[str, Any]:
        self._called("stop_execution", arguments)
        self.end(self._execution(arguments["executionArn"])["name"], "ABORTED")
        return {"stopDate": self.now}

    def redrive_execution(self, **arguments: Any) -> dict[str, Any]:
        self._called("redrive_execution", arguments)
        execution = self._execution(arguments["executionArn"])
        if execution["status"] in ("RUNNING", "SUCCEEDED"):
            raise client_error("ExecutionNotRedrivable")
        execution.update(status="RUNNING", stopDate=None, redriveCount=execution.get("redriveCount", 0) + 1)
        execution.pop("error", None)
        return {"redriveDate": self.now}

    def list_executions(self, **arguments: Any) -> dict[str, Any]:
        self._called("list_executions", arguments)
        status = arguments.get("statusFilter")
        names = [name for name, execution in reversed(self.executions.items()) if status in (None, execution["status"])]
        token = arguments.get("nextToken", "page-0")
        if not token.startswith("page-"):
            raise client_error("InvalidToken")
        start = int(token.removeprefix("page-"))
        size = min(self.page_size, arguments["maxResults"])
        answer: dict[str, Any] = {
            "executions": [
                {key: value for key, value in self.executions[name].items() if key != "input"}
                for name in names[start : start + size]
            ]
        }
        if start + size < len(names):
            answer["nextToken"] = f"page-{start + size}"
        return answer

    def list_map_runs(self, **arguments: Any) -> dict[str, Any]:
        self._called("list_map_runs", arguments)
        name = self._execution(arguments["executionArn"])["name"]
        if name not in self.map_runs:
            return {"mapRuns": []}
        started = self.map_runs[name]["startDate"]
        earlier = {"mapRunArn": f"{name}-before-a-redrive", "startDate": started - timedelta(hours=1)}
        return {"mapRuns": [earlier, {"mapRunArn": name, "startDate": started}]}

    def describe_map_run(self, **arguments: Any) -> dict[str, Any]:
        self._called("describe_map_run", arguments)
        return self.map_runs[arguments["mapRunArn"]]

    def end(self, name: str, status: str, error: str | None = None) -> None:
        """End an execution as Step Functions does."""
        execution = self.executions[name]
        if execution["status"] == "RUNNING":
            execution.update(status=status, stopDate=self.now + timedelta(minutes=5))
            if error is not None:
                execution["error"] = error

    def count(self, name: str, **counts: int) -> None:
        """Give an execution a map run with these item counts."""
        names = ("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten")
        self.map_runs[name] = {
            "status": "RUNNING",
            "startDate": self.executions[name]["startDate"],
            "itemCounts": {status: counts.get(status, 0) for status in names},
        }


class FakeAliases:
    """A Lambda function whose alias ``live`` names a version."""

    def __init__(self, version: str = "7") -> None:
        self.version = version

    def get_alias(self, **arguments: Any) -> dict[str, Any]:
        assert arguments == {"FunctionName": FUNCTION, "Name": "live"}
        return {"FunctionVersion": self.version, "RoutingConfig": {"AdditionalVersionWeights": {"8": 0.1}}}
