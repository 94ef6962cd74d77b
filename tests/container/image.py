"""An image's content and its running container, as the tests ask for them."""

from __future__ import annotations

import base64
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.models import Golden
from tests.container.engine import Engine, EngineError

HERE = Path(__file__).parent
MODEL = "hair-type"
DOCKERFILE = "function/Dockerfile"
START_SECONDS = 30
# Reading all of a file system takes root; it still cannot write.
AS_ROOT = ("--network=none", "--read-only", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")
INVOCATIONS = "http://127.0.0.1:8080/2015-03-31/functions/function/invocations"
POST = f"""
import sys, urllib.request
request = urllib.request.Request({INVOCATIONS!r}, sys.stdin.buffer.read())
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=60).read())
"""
KNOCK = "import socket; socket.create_connection(('127.0.0.1', 8080), 1).close()"


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of an image. ``header`` is the first bytes of bytecode, in hex."""

    path: Path
    mode: int
    uid: int
    gid: int
    size: int
    link: str
    header: str

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


def entries(engine: Engine, image: str) -> dict[Path, Entry]:
    printed = engine.run(image, "python3", "-", stdin=(HERE / "listing.py").read_bytes(), sandbox=AS_ROOT)
    return {Path(path): Entry(Path(path), *rest) for path, *rest in json.loads(printed)}


@dataclass(frozen=True)
class Function:
    """The started image, called as Lambda's emulator is called, from inside its own container."""

    engine: Engine
    container: str

    def listens(self) -> bool:
        try:
            self.engine.exec(self.container, "python3", "-c", KNOCK)
        except EngineError:
            return False
        return True

    def invoke(self, payload: Any) -> Any:
        try:
            answer = self.engine.exec(self.container, "python3", "-c", POST, stdin=json.dumps(payload).encode())
        except EngineError as error:
            raise AssertionError(f"{error}\n\nThe container said:\n{self.engine.logs(self.container)}") from None
        return json.loads(answer)


def payload(case: Golden) -> dict[str, str]:
    """A direct invocation with an image."""
    return {"image": base64.b64encode(case.path.read_bytes()).decode()}


def rest_event(method: str, path: str, body: bytes = b"", content_type: str = "") -> dict[str, Any]:
    """Return the event of API Gateway's REST API."""
    return {
        "httpMethod": method,
        "path": path,
        "resource": path,
        "headers": {"Content-Type": content_type} if content_type else {},
        "requestContext": {"stage": "live", "httpMethod": method, "path": f"/live{path}"},
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }
