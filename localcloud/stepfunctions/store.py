"""S3 and IAM of MiniStack for a state machine: its role authorizes all reads, writes and invocations."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any

from localcloud.ministack.compatibility import IAM, S3
from localcloud.ministack.replacement import Module
from localcloud.stepfunctions.limits import ITEM_READER_FAILED, RESULT_WRITER_FAILED, StatesError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
_SUCCESS = 200
# Step Functions developer guide, 'IAM policies for a Distributed Map state': what the role needs to write results.
RESULT_WRITER_ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload")


class Role:
    """The role of a state machine; decisions are remembered for as long as the object lives.

    Parameters
    ----------
    arn
        ``arn:aws:iam::<account>:role/<path/name>``.
    """

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._decisions: dict[tuple[str, str, str | None], bool] = {}

    def allows(self, action: str, resource: str, prefix: str | None = None) -> bool:
        """Whether the policies of the role allow an action on a resource; the prefix is ``s3:prefix`` of a listing."""
        request = (action, resource, prefix)
        if request not in self._decisions:
            self._decisions[request] = self._evaluate(*request)
        return self._decisions[request]

    def _evaluate(self, action: str, resource: str, prefix: str | None) -> bool:
        iam = Module(IAM)
        account, name = self._arn.split(":")[4], self._arn.rsplit("/", 1)[-1]
        assumed = f"arn:aws:sts::{account}:assumed-role/{name}/states"
        region = resource.split(":", 4)[3]
        keys = {} if prefix is None else {"s3:prefix": prefix}
        # The calls of Step Functions are by TLS.
        context = iam.EvalContext(
            assumed, "AssumedRole", account, action, resource, region, secure_transport=True, service_context=keys
        )
        decision = iam.evaluate(context, iam._gather_role_policies(name, account)).decision
        return bool(decision == "Allow")


ROLE: ContextVar[Role | None] = ContextVar("role of the state machine that runs", default=None)


def allowed(action: str, resource: str, prefix: str | None = None) -> bool:
    """Whether the role of the state machine that runs in this context allows an action."""
    role = ROLE.get()
    return role is not None and role.allows(action, resource, prefix)


class RoleStore:
    """S3 as the role of the current state machine sees it."""

    def __init__(self) -> None:
        self._s3 = Module(S3)

    def read(self, bucket: str, key: str, version: str | None) -> bytes:
        action = "s3:GetObjectVersion" if version else "s3:GetObject"
        place = f"(Bucket: {bucket}, Key: {key})"
        if not allowed(action, f"arn:aws:s3:::{bucket}/{key}"):
            raise StatesError(ITEM_READER_FAILED, f"Access Denied {place}: the role needs {action}.")
        status, headers, body = self._s3._get_object(bucket, key, {}, {"versionId": [version]} if version else {})
        if status != _SUCCESS:
            raise StatesError(ITEM_READER_FAILED, f"The specified bucket or key does not exist {place}")
        self._require_key(headers.get(KEY_HEADER), "kms:Decrypt", ITEM_READER_FAILED)
        return bytes(body)

    def list(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        if not allowed("s3:ListBucket", f"arn:aws:s3:::{bucket}", prefix):
            raise StatesError(ITEM_READER_FAILED, f"Access Denied (Bucket: {bucket}): the role needs s3:ListBucket.")
        stored = self._s3._buckets.get(bucket)
        if stored is None:
            raise StatesError(ITEM_READER_FAILED, f"The specified bucket does not exist (Bucket: {bucket})")
        objects = stored["objects"]
        # Keys are listed in the order of their UTF-8 bytes.
        for key in sorted((key for key in objects if key.startswith(prefix)), key=str.encode):
            listed = objects.get(key)
            if listed is not None:
                yield {
                    "Etag": listed.get("etag", ""),
                    "Key": key,
                    "LastModified": _epoch_seconds(listed.get("last_modified")),
                    "Size": listed.get("size", 0),
                    "StorageClass": listed.get("storage_class") or "STANDARD",
                }

    def write(self, bucket: str, key: str, body: bytes) -> None:
        place = f"(Bucket: {bucket}, Key: {key})"
        for action in RESULT_WRITER_ACTIONS:
            if not allowed(action, f"arn:aws:s3:::{bucket}/{key}"):
                raise StatesError(RESULT_WRITER_FAILED, f"Access Denied {place}: the role needs {action}.")
        headers, _ = self._s3._resolve_sse_write_headers({}, bucket)
        self._require_key((headers or {}).get(KEY_HEADER), "kms:GenerateDataKey", RESULT_WRITER_FAILED)
        status, *_ = self._s3._put_object(bucket, key, body, {"content-type": "application/json"})
        if status != _SUCCESS:
            raise StatesError(RESULT_WRITER_FAILED, f"The file was not written {place}")

    def _require_key(self, key: str | None, action: str, error: str) -> None:
        if key and key.startswith("arn:") and not allowed(action, key):
            raise StatesError(error, f"Access Denied: the role needs {action} on {key}.")


def _epoch_seconds(stamp: Any) -> int:
    return int(datetime.fromisoformat(str(stamp)).timestamp()) if stamp else 0
