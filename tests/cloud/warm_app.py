"""The CDK app in a process that stays: the CDK CLI runs it by a client, which saves the start of Python and jsii.

A start of the app takes 4 s of CPU time beside its constructs: imports, the jsii kernel, and the engine of the CDK's
template rules. `serve` starts a process for a test session, and gives the command to run instead of the ``app`` of
cdk.json, by ``--app``. The CLI synthesizes with it as usual: same context, settings, rules and messages.
"""

from __future__ import annotations

import io
import json
import os
import select
import shlex
import socket
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
CONTEXT, OUTPUT = "CDK_CONTEXT_JSON", "CDK_OUTDIR"


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Give the command that runs the app in a separate process, which ends with the context."""
    path = folder / "app.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, __file__, "serve", str(listener.fileno())],
            cwd=PROJECT,
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
        )
    try:
        yield shlex.join([sys.executable, "-S", __file__, "run", str(path)])
    finally:
        process.kill()
        process.communicate()


def run(path: str) -> int:
    """Have the app run with this process's variables; print what it prints, and return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps(dict(os.environ)).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            result: dict[str, Any] = json.load(answer)
    sys.stdout.write(result["stdout"])
    sys.stderr.write(result["stderr"])
    return int(result["code"])


def _serve(listener: socket.socket) -> None:
    """Run the app for every client, until the process that started this one closes its standard input or ends."""
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            answer = json.dumps(_synthesize(json.load(stream))).encode()
            try:
                connection.sendall(answer)
            except BrokenPipeError:
                continue  # a CLI that was killed


def _synthesize(variables: dict[str, str]) -> dict[str, Any]:
    context, output = json.loads(variables.pop(CONTEXT)), variables.pop(OUTPUT)
    # The jsii kernel has those of the first run: later ones differ in the local cloud's port, which no synth uses.
    os.environ.clear()
    os.environ.update(variables)
    import aws_cdk as cdk

    from infra import app

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = app.main(cdk.App(context=context, outdir=output))
    return {"code": code, "stdout": out.getvalue(), "stderr": err.getvalue()}


if __name__ == "__main__":
    if sys.argv[1] == "run":
        sys.exit(run(sys.argv[2]))
    sys.path.insert(0, str(PROJECT))
    _serve(socket.socket(fileno=int(sys.argv[2])))
