"""Lambda's Invoke API over HTTP, and the process that serves it: `python -m localcloud.invoke_api` is the fleet."""

from __future__ import annotations

import base64
import json
import logging
import re
import signal
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from localcloud import hook_reports
from localcloud.aws import Account
from localcloud.errors import CloudError
from localcloud.fleet import Call, Fleet, ThrottlingError
from localcloud.function import Site
from localcloud.hook_reports import HookReports, ReportError
from localcloud.publisher import Publisher

# Lambda's quota for the payload of a synchronous invocation, in bytes.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
STATUS_PATH = "/status"
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Options that `up` passes to the fleet, as JSON on the command line."""

    port: int
    endpoint: str
    region: str
    account: str
    images: str
    emulator: str
    logs: str
    temporary: str


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; then end every environment."""
    account = Account(options.endpoint, options.region, options.account)
    fleet = Fleet(
        account.client("lambda"),
        account.client("sts"),
        Publisher(account.client("logs"), account.client("cloudwatch")),
        Site(options.endpoint, options.region, Path(options.temporary), f"http://127.0.0.1:{options.port}"),
        Path(options.images),
        Path(options.emulator),
        Path(options.logs),
    )
    server = FleetServer(("127.0.0.1", options.port), fleet)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever(), which this very thread is in.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("the fleet listens on 127.0.0.1:%s", options.port)
    try:
        server.serve_forever(poll_interval=0.05)
    finally:
        fleet.stop()


class FleetServer(ThreadingHTTPServer):
    """One thread per connection; the fleet limits concurrency."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], fleet: Fleet) -> None:
        super().__init__(address, Handler)
        self.fleet = fleet
        self.reports = HookReports()


class Handler(BaseHTTPRequestHandler):
    """Responds as Lambda does."""

    protocol_version = "HTTP/1.1"
    server: FleetServer

    def do_GET(self) -> None:
        if self.path.startswith(f"{hook_reports.PATH}/"):
            status = self.server.reports.status(self.path.rpartition("/")[2])
            self._answer(HTTPStatus.OK, json.dumps({"status": status}).encode())
        elif self.path == STATUS_PATH:
            self._answer(HTTPStatus.OK, json.dumps({"functions": self.server.fleet.status()}).encode())
        else:
            self._fail(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", f"GET {STATUS_PATH} is what there is.")

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == hook_reports.PATH:
            self.server.reports.expect(**json.loads(payload))
            self._answer(HTTPStatus.OK, b"{}")
            return
        if self.headers.get("X-Amz-Target") == hook_reports.TARGET:
            self._report(payload)
            return
        url = urlsplit(self.path)
        match = _INVOKE.fullmatch(url.path)
        if match is None:
            self._fail(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", "This is not an invocation.")
            return
        if len(payload) > MAX_PAYLOAD_BYTES:
            message = f"Request must be smaller than {MAX_PAYLOAD_BYTES} bytes for the InvokeFunction operation"
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestTooLargeException", message)
            return
        call = Call(
            function=unquote(match.group(1)),
            qualifier=parse_qs(url.query).get("Qualifier", ["$LATEST"])[0],
            revision=self.headers.get("X-Loupe-Revision", ""),
            arn=self.headers.get("X-Loupe-Function-Arn", ""),
            payload=payload,
            request_id=self.headers.get("X-Amzn-RequestId", ""),
        )
        try:
            outcome = self.server.fleet.invoke(call)
        except ThrottlingError as throttled:
            extra = {"Reason": throttled.reason, "retryAfterSeconds": "1"}
            self._fail(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequestsException", str(throttled), extra)
        except (CloudError, ClientError, BotoCoreError) as error:
            log.exception("an invocation of %s was not run", call.function)
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, "ServiceException", str(error))
        else:
            headers = {"X-Amz-Function-Error": outcome.function_error} if outcome.function_error else {}
            headers["X-Amz-Log-Result"] = base64.b64encode(outcome.tail.encode()).decode("ascii")
            self._answer(HTTPStatus.OK, outcome.payload, headers)

    def _report(self, payload: bytes) -> None:
        """Take a hook's report; its errors have CodeDeploy's names."""
        try:
            self._answer(HTTPStatus.OK, json.dumps(self.server.reports.put(json.loads(payload))).encode())
        except ReportError as error:
            self._fail(HTTPStatus.BAD_REQUEST, error.code, str(error))

    def log_message(self, message: str, *args: Any) -> None:
        log.debug(message, *args)

    def _fail(self, status: HTTPStatus, kind: str, message: str, extra: dict[str, str] | None = None) -> None:
        body = {"__type": kind, "message": message, **(extra or {})}
        self._answer(status, json.dumps(body).encode(), {"X-Amzn-ErrorType": kind})

    def _answer(self, status: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    serve(Options(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
