"""The shadow function and the samples' bucket, as the classifier function reaches them: one HTTPS request for each."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from loupe.shadow.sender import NotSent
from loupe.shadow.signing import Credentials, Scope, signed_headers
from loupe.sources.addresses import resolve
from loupe.sources.connection import open_connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.shadow.settings import ShadowSettings
    from loupe.sources.connection import Deadline

_PORTS = {"https": 443, "http": 80}
_THROTTLED = (429, 503)


class AwsDestination:
    """Lambda's Invoke and S3's PutObject. Each request opens a connection: one that was kept open would have been
    closed by the other end while the environment was frozen.

    Parameters
    ----------
    variables
        Read for each request: the credentials and the trace id in them change.
    """

    def __init__(self, settings: ShadowSettings, variables: Mapping[str, str]) -> None:
        self._settings, self._variables = settings, variables
        self._tls: ssl.SSLContext | None = None

    def store(self, key: str, data: bytes, deadline: Deadline) -> None:
        url = f"{self._settings.s3_endpoint}/{quote(key)}"
        self._send("PUT", url, data, {}, "s3", (200,), deadline)

    def invoke(self, payload: bytes, deadline: Deadline) -> None:
        function = quote(self._settings.function_arn, safe="")
        url = f"{self._settings.lambda_endpoint}/2015-03-31/functions/{function}/invocations"
        headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "Event"}
        self._send("POST", url, payload, headers, "lambda", (202,), deadline)

    def _send(
        self,
        method: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        service: str,
        accepted: tuple[int, ...],
        deadline: Deadline,
    ) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        # Lambda renews the variables of an environment that lives longer than its credentials.
        credentials = Credentials.from_environment(self._variables)
        signed = signed_headers(method, url, body, headers, credentials, Scope(service, self._settings.region))
        if trace := self._variables.get("_X_AMZN_TRACE_ID"):
            # Not signed, as in the SDKs: what is between may add its own segment.
            signed["X-Amzn-Trace-Id"] = trace
        try:
            addresses = resolve(host, port, deadline.left())
            with open_connection(addresses, port, host, deadline, self._tls_context(parts.scheme)) as connection:
                connection.request(method, parts.path, body, {**signed, "Host": parts.netloc})
                status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise NotSent("unreachable") from error
        if status not in accepted:
            raise NotSent("throttled" if status in _THROTTLED else "rejected")

    def _tls_context(self, scheme: str) -> ssl.SSLContext | None:
        if scheme == "http":
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls
