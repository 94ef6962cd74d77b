"""Settings of an experiment: arms, what a caller is recognized by, and how weights change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from infra.settings.base import Section, text
from infra.settings.model import ModelName

# Lower case, so that a name is a key and an arm a token of a structured header (RFC 9651).
Name = Annotated[str, text(r"[a-z][a-z0-9-]{0,31}", "a small letter, then small letters, digits and -, at most 32")]
HeaderName = Annotated[
    str, text(r"[A-Za-z][A-Za-z0-9-]{0,63}", "the name of a header: a letter, then letters, digits and -, at most 64")
]
# Credentials, and headers that clients, proxies and API Gateway set for purposes of their own, in lower case.
RESERVED_HEADERS = frozenset(
    {"accept", "authorization", "connection", "cookie", "date", "expect", "forwarded", "host", "idempotency-key",
     "if-none-match", "keep-alive", "origin", "proxy-authorization", "referer", "te", "trailer", "transfer-encoding",
     "upgrade", "user-agent", "via", "x-api-key"}
)  # fmt: skip
RESERVED_PREFIXES = (
    "accept-", "access-control-", "cloudfront-", "content-", "sec-", "x-amz-", "x-amzn-", "x-experiment",
    "x-forwarded-",
)  # fmt: skip
# GetParameter calls per second of an account and region (AWS General Reference, 'Systems Manager endpoints and quotas',
# default throughput).
PARAMETER_READS_PER_SECOND = 40


class ArmSettings(Section):
    """One arm: a model of ``models``, and its share of the callers relative to the other weights."""

    name: Name
    model: ModelName
    # 0 pauses the arm.
    weight: Annotated[int, Field(ge=0, le=10_000)]


class ExperimentSettings(Section):
    """Requests that name no model are split between arms; a caller keeps its arm."""

    name: Name
    arms: Annotated[tuple[ArmSettings, ...], Field(min_length=2, max_length=10)]
    # Identity by which a caller is assigned to an arm.
    key: Literal["header", "api-key", "token-subject", "source-address", "image-content"]
    # The header, of key 'header' alone.
    header: HeaderName | None = None
    # Whether a request may name its arm in X-Experiment-Arm.
    override: bool = False
    # Weights can be changed without a deployment, in a parameter of Systems Manager that the function reads.
    live_weights: bool = False
    refresh_seconds: Annotated[int, Field(ge=30, le=3600)] = 60

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("arms must have a name each, once")
        if not any(arm.weight for arm in self.arms):
            raise ValueError("arms must have a weight above 0, one at least")
        if (self.header is not None) != (self.key == "header"):
            raise ValueError("header names the header of key 'header': give both, or neither")
        name = (self.header or "").lower()
        if name in RESERVED_HEADERS or name.startswith(RESERVED_PREFIXES):
            raise ValueError(
                f"header {self.header!r} is reserved: it carries credentials, or clients and proxies set it; name one "
                "of your own, such as X-User-Id"
            )
        if "refresh_seconds" in self.model_fields_set and not self.live_weights:
            raise ValueError("refresh_seconds belongs to live_weights; without it, weights change by deployment")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """Models of the arms, each once."""
        return tuple(dict.fromkeys(arm.model for arm in self.arms))

    def conflict(self, served: Sequence[str], mode: str, reserved_concurrency: int | None) -> str | None:
        """Return why the experiment cannot be deployed with these models, authorization mode and reserve, or None."""
        missing = [arm for arm in self.arms if arm.model not in served]
        if missing:
            return (
                f"experiment.arms: {missing[0].name} has the model {missing[0].model!r}, which is not deployed: add it "
                f"to models (they are {', '.join(served)})"
            )
        if len(served) < 2:
            return "experiment needs several models: name them in models"
        if self.key == "api-key" and mode != "api-key":
            return f"experiment.key 'api-key' needs auth.mode 'api-key' (it is {mode!r}): no request has a key"
        if self.key == "token-subject" and mode not in ("cognito", "jwt"):
            return f"experiment.key 'token-subject' needs auth.mode 'cognito' or 'jwt' (it is {mode!r})"
        if self.live_weights and (reserved_concurrency or 0) > PARAMETER_READS_PER_SECOND * self.refresh_seconds:
            return (
                f"experiment.refresh_seconds ({self.refresh_seconds}) is too short for {reserved_concurrency} "
                f"execution environments: Parameter Store takes {PARAMETER_READS_PER_SECOND} reads per second"
            )
        return None
