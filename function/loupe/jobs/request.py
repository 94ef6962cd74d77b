"""Parse ``POST /v1/jobs`` into a job: which images, and how they are processed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.bulk.keys import JOBS_PREFIX, failures_key
from loupe.errors import ManifestInvalid, RequestInvalid
from loupe.jobs.ids import is_owned
from loupe.json_body import json_object, shown
from loupe.prediction import DEFAULT_TOP, MAX_TOP
from loupe.sources.s3 import MAX_S3_KEY_BYTES, S3Object, S3Rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.http.envelope import HttpRequest

KEYS = ("manifest", "prefix", "top", "tolerated_failure_percentage", "max_concurrency")
DEFAULT_TOLERATED_PERCENTAGE = 5.0
# A job's request is a few lines, and the firewall blocks more outside the routes that take images.
MAX_BODY_BYTES = 8_192
MANIFEST_TYPES = ("jsonl", "csv")
# Amazon S3 user guide, 'Bucket naming rules'; and a key or prefix without control characters or halves of characters.
_S3_URI = re.compile("s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^\x00-\x1f\x7f\ud800-\udfff]*)")
_MAX_URI = len("s3://") + 63 + 1 + MAX_S3_KEY_BYTES


class JobSource(NamedTuple):
    """Where a job's images are listed: ``key`` is that of a manifest, or a prefix that ends with a slash."""

    type: str
    bucket: str
    key: str

    def to_dict(self) -> dict[str, str]:
        """Return the form that the state machine reads."""
        name = "prefix" if self.type == "prefix" else "key"
        return {"type": self.type, "bucket": self.bucket, name: self.key}

    @property
    def uri(self) -> str:
        """The source as the request names it."""
        return f"s3://{self.bucket}/{self.key}"


class JobRequest(NamedTuple):
    """A requested job.

    Attributes
    ----------
    top
        A number or "all".
    max_concurrency
        None for the deployment's.
    model
        A model other than the default, which the route names; None for the default.
    """

    source: JobSource
    top: int | str
    tolerated_failure_percentage: float
    max_concurrency: int | None
    model: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the request in its canonical form: equal for requests that mean the same."""
        # The default model is left out, so that a key stays valid when a deployment gets its second model.
        model = [] if self.model is None else [self.model]
        options = [self.top, self.tolerated_failure_percentage, self.max_concurrency]
        canonical = json.dumps([*self.source, *options, *model], separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class JobRules(NamedTuple):
    """Locations and limits of an owner's jobs.

    Attributes
    ----------
    s3
        Locations of manifests and images. The bucket of uploads is none of them: a key is what protects an upload,
        and a row could name that of another client.
    results_bucket, owner
        The manifest of failed rows of one of the owner's jobs may be read, too.
    max_concurrency
        The most that a job may ask for.
    """

    s3: S3Rules
    results_bucket: str
    owner: str
    max_concurrency: int

    def check_manifest(self, bucket: str, key: str) -> None:
        """Reject a manifest elsewhere, with `loupe.errors.S3NotAllowed`."""
        job_id = key.removeprefix(JOBS_PREFIX).partition("/")[0]
        if bucket == self.results_bucket and is_owned(self.owner, job_id) and key == failures_key(job_id):
            return
        self.s3.check(S3Object(bucket, key))

    def check_prefix(self, bucket: str, prefix: str) -> None:
        """Reject a prefix elsewhere, with `loupe.errors.S3NotAllowed`."""
        S3Rules(locations=self.s3.locations).check(S3Object(bucket, prefix))


def job_from_http(request: HttpRequest, rules: JobRules, model: str | None = None) -> JobRequest:
    """Read a job from a request's body; ``model`` is one other than the default, which the route names.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ManifestInvalid, loupe.errors.S3NotAllowed
    """
    if request.query:
        raise RequestInvalid(f"The query parameter {shown(next(iter(request.query)))} is unknown. Send JSON.")
    # Base64 takes four characters for three bytes.
    if len(request.text) > MAX_BODY_BYTES * 4 // 3 + 4:
        raise RequestInvalid(f"The body is larger than {MAX_BODY_BYTES:,} bytes. List the images in a manifest in S3.")
    body = request.body
    if not body.strip():
        raise RequestInvalid('The body is empty. Send JSON: {"manifest": "s3://bucket/images.jsonl"}.')
    value = json_object(body)
    unknown = [key for key in value if key not in KEYS]
    if unknown:
        raise RequestInvalid(f"The key {shown(unknown[0])} is unknown. There are {', '.join(KEYS)}.")
    return JobRequest(
        source=_source(value, rules),
        top=_top(value.get("top", DEFAULT_TOP)),
        tolerated_failure_percentage=_percentage(
            value.get("tolerated_failure_percentage", DEFAULT_TOLERATED_PERCENTAGE)
        ),
        max_concurrency=None if "max_concurrency" not in value else _concurrency(value, rules.max_concurrency),
        model=model,
    )


def _source(value: Mapping[str, Any], rules: JobRules) -> JobSource:
    names = [name for name in ("manifest", "prefix") if name in value]
    if len(names) != 1:
        raise RequestInvalid('Send exactly one of "manifest" and "prefix".')
    (name,) = names
    text = value[name]
    match = _S3_URI.fullmatch(text) if isinstance(text, str) and len(text) <= _MAX_URI else None
    if match is None or len(match[2].encode()) > MAX_S3_KEY_BYTES:
        example = "s3://bucket/images.jsonl" if name == "manifest" else "s3://bucket/folder/"
        raise RequestInvalid(f'"{name}" must be the address of an S3 object, such as {example}.')
    bucket, key = match.groups()
    if name == "prefix":
        if key and not key.endswith("/"):
            raise ManifestInvalid(
                '"prefix" must name a folder and end with a slash: without it, photos would also list photos-of-others.'
            )
        rules.check_prefix(bucket, key)
        return JobSource("prefix", bucket, key)
    kind = key.rpartition(".")[2].lower() if "." in key else ""
    if kind not in MANIFEST_TYPES:
        raise ManifestInvalid('"manifest" must be a .jsonl or a .csv object: its name says how it is read.')
    rules.check_manifest(bucket, key)
    return JobSource(kind, bucket, key)


def _top(value: Any) -> int | str:
    if value == "all":
        return "all"
    number = _whole_number(value)
    if number is None or not 1 <= number <= MAX_TOP:
        raise RequestInvalid(f'"top" must be a whole number from 1 to {MAX_TOP}, or "all".')
    return number


def _percentage(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise RequestInvalid('"tolerated_failure_percentage" must be a number from 0 to 100.')
    return float(value) + 0.0  # -0.0 becomes 0.0


def _concurrency(value: Mapping[str, Any], most: int) -> int:
    number = _whole_number(value["max_concurrency"])
    if number is None or not 1 <= number <= most:
        raise RequestInvalid(f'"max_concurrency" must be a whole number from 1 to {most}.')
    return number


def _whole_number(value: Any) -> int | None:
    """Return a JSON number that is whole, however it is written."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)
