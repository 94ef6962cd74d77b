"""Which version to return to, and whether it can serve: it exists, its image exists, and it starts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tools.doctor.aws import Aws, CallError
from tools.operations import images
from tools.operations.alias import Alias
from tools.operations.failures import sentence
from tools.operations.target import OperationError

# As API Gateway would send it to the function: the shortest event that `loupe.http.envelope` takes.
HEALTH_EVENT = {
    "httpMethod": "GET",
    "path": "/v1/health",
    "resource": "/v1/health",
    "headers": {},
    "queryStringParameters": None,
    "body": None,
    "isBase64Encoded": False,
    "requestContext": {"stage": "rollback", "path": "/v1/health"},
}
# The first start of a version takes up to half a minute, and a request up to 28 s.
ANSWER_SECONDS = 75


def previous(alias: Alias, versions: Mapping[int, tuple[str, ...]], newest: str | None, *, deploying: bool) -> str:
    """Return the version to go back to.

    While traffic is shared, that is the older version of the two. While a deployment is in progress that has not
    moved any traffic yet, it is the version that serves. Otherwise it is the last version before that one with another
    image or configuration: a version of the same content has the same fault.

    Raises
    ------
    OperationError
        If there is no earlier version.
    """
    if alias.weights:
        return str(min(map(int, (alias.version, *alias.weights))))
    if deploying and newest is not None and int(alias.version) < int(newest):
        return alias.version
    serving = versions.get(int(alias.version))
    earlier = [number for number, content in versions.items() if number < int(alias.version) and content != serving]
    if not earlier:
        raise OperationError(
            f"There is no version to return to: {alias.function} has none before version {alias.version} with another "
            "image or configuration. Deploy an earlier commit, or name a version with VERSION=."
        )
    return str(max(earlier))


def check(aws: Aws, alias: Alias, version: str, versions: Iterable[int], provisioned: Iterable[str]) -> Iterator[str]:
    """Yield sentences about what could not be checked.

    Raises
    ------
    OperationError
        If the version cannot serve.
    CallError
    """
    if int(version) not in versions:
        latest = ", ".join(map(str, list(versions)[-10:]))
        raise OperationError(f"{alias.function} has no version {version}. It has {latest}.")
    if alias.name in provisioned and version in provisioned:
        raise OperationError(
            f"Version {version} has provisioned concurrency of its own, and Lambda allocates none to an alias of such "
            f"a version. Delete it first: aws lambda delete-provisioned-concurrency-config --function-name "
            f"{alias.function} --qualifier {version}"
        )
    function = aws.call("lambda", "get_function", FunctionName=alias.function, Qualifier=version)
    state = function["Configuration"].get("State", "Active")
    if state == "Failed":
        reason = function["Configuration"].get("StateReason") or "no reason was given"
        raise OperationError(f"Version {version} cannot run ({reason}).")
    yield from _image(aws, version, function.get("Code") or {})
    if state == "Inactive":
        # Lambda developer guide, 'Function states': after weeks without an invocation, the next ones fail for a while.
        yield f"Version {version} was idle for long: Lambda fetches its image again, and the first requests may fail."


def _image(aws: Aws, version: str, code: dict[str, Any]) -> Iterator[str]:
    uri = str(code.get("ResolvedImageUri") or code.get("ImageUri") or "")
    image = images.parse(uri)
    if image is None:
        yield f"The image of version {version} was not checked: {uri or 'Lambda names none'}."
        return
    try:
        missing = list(images.missing(aws, [image]))
    except CallError as failure:
        if failure.no_identity:
            raise
        yield f"The image of version {version} was not checked ({sentence(failure)})."
        return
    if missing:
        raise OperationError(
            f"The image of version {version} is gone from ECR ({uri}): Lambda could not start it. Name another with "
            "VERSION=, or push the image again."
        )


def check_health(aws: Aws, alias: Alias, version: str) -> str | None:
    """Invoke the health route of a version, which also starts a cold one before requests do.

    Returns
    -------
    str | None
        A sentence about why this is not known; None if it answered.

    Raises
    ------
    OperationError
        If it fails.
    """
    try:
        response = aws.without_retries(read_timeout=ANSWER_SECONDS).call(
            "lambda",
            "invoke",
            FunctionName=alias.function,
            Qualifier=version,
            Payload=json.dumps(HEALTH_EVENT).encode(),
        )
    except CallError as failure:
        if failure.no_identity:
            raise
        if failure.code == "ReadTimeoutError":
            raise _silent(version, f"nothing within {ANSWER_SECONDS} s") from None
        return f"Whether version {version} answers is not known ({sentence(failure)})."
    payload = response["Payload"].read(65_536)
    try:
        status = json.loads(payload).get("statusCode")
    except (ValueError, AttributeError):
        status = None
    if response.get("FunctionError") or status != 200:
        raise _silent(version, payload.decode(errors="replace")[:300])
    return None


def _silent(version: str, what: str) -> OperationError:
    return OperationError(
        f"Version {version} does not answer GET /v1/health ({what}). Name another with VERSION=, or return to it "
        "nevertheless with FORCE=1."
    )
