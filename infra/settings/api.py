"""Settings of the REST API: stage, throttles, metrics, CORS."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings.base import Section, text
from infra.settings.hosts import DEFAULT_PORTS, HOST_PATTERN


def _origin(value: str) -> str:
    match = re.fullmatch(rf"(?P<scheme>https?)://({HOST_PATTERN}|\[[0-9a-f:]+\])(:(?P<port>[1-9][0-9]{{0,4}}))?", value)
    port = int(match["port"] or 0) if match else 0
    if value != "*" and (match is None or port > 65535 or port == DEFAULT_PORTS[match["scheme"]]):
        raise ValueError(
            "must be * or an origin as browsers send it, such as https://example.com or http://localhost:5173: small "
            f"letters, no default port, no slash at the end (it is {value!r})"
        )
    return value


class ApiSettings(Section):
    """The REST API. API Gateway throttles each method of the stage separately, over all clients."""

    stage: Annotated[str, text(r"[A-Za-z0-9_]{1,64}", "letters, digits and _, at most 64")] = "live"
    # API Gateway writes logs only if the account has a role for it, one per region. The stack creates and retains it;
    # false if the account already has one, such as a landing zone's.
    account_log_role: bool = True
    rate_limit: Annotated[float, Field(gt=0, le=10_000)] = 50.0
    burst_limit: Annotated[int, Field(ge=1, le=5_000)] = 100
    # Limits of each method without credentials, preflights included, so that anonymous clients cannot use up the
    # function's concurrency. Default burst: the largest that `infra.throttles` allows.
    open_rate_limit: Annotated[float, Field(gt=0, le=10_000)] = 5.0
    open_burst_limit: Annotated[int, Field(ge=1, le=5_000)] | None = None
    # API Gateway's metrics per method, in addition to those of the stage. Each is a paid custom metric.
    method_metrics: bool = False
    cors_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()

    @model_validator(mode="after")
    def _origins(self) -> Self:
        if "*" in self.cors_origins and len(self.cors_origins) > 1:
            raise ValueError("cors_origins has * and others; * alone allows them all")
        return self
