"""Downloads against a server on this machine that breaks off, ignores ranges, lies and redirects."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from loupe.card import Card, InputSpec, ModelFile, OutputSpec
from loupe.model_files import git_blob_sha1_of
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.errors import ModelkitError
from modelkit.fetching import fetch

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


REDIRECTS = {
    "/redirect": "/whole",
    "/to-file": "file:///etc/passwd",
    "/to-ftp": "ftp://127.0.0.1/model.onnx",
    "/to-https": "https://127.0.0.1:1/model.onnx",
}


class Site(ThreadingHTTPServer):
    """``/whole`` serves ranges, ``/plain`` none; ``/cut`` ends after 100,000 bytes; ``/other`` is another file."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        range_header = self.headers.get("Range")
        self.server.requests.append((self.path, range_header))
        content = CONTENT[::-1] if self.path == "/other" else CONTENT
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path in REDIRECTS:
            self.send_response(302)
            self.send_header("Location", REDIRECTS[self.path])
            self.end_headers()
            return
        if self.path == "/escapes":
            self.send_error(404, "\x1b[31m" * 3000)
            return
        if self.path == "/digits":
            self.send_response(200)
            self.send_header("Content-Length", "9" * 5000)
            self.end_headers()
            return
        if self.path == "/endless":
            self.endless()
            return
        start = int(range_header.removeprefix("bytes=").rstrip("-")) if range_header and self.path != "/plain" else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : 100_000 if self.path == "/cut" else None])

    def endless(self) -> None:
        """Send without end, and without saying how much."""
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(CONTENT)
                self.server.sent += len(CONTENT)
        except OSError:
            return  # the client hung up

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def card(
    folder: Path, *urls: str, sha256: str | None = SHA256, blob: str | None = None, size: int | None = None
) -> Card:
    folder.mkdir(parents=True, exist_ok=True)
    return Card(
        directory=folder, name=folder.name, version="1.0.0", variant="fp32", description="", graph="model.onnx",
        files=(ModelFile("model.onnx", sha256, size, urls, blob),), input=InputSpec("input", 1, 1),
        output=OutputSpec("output", "logit", ("a", "b")), golden=(), raw={},
    )  # fmt: skip


def get(model: Card) -> list[str]:
    return fetch(model, schemes=("http",))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_brought_once(tmp_path: Path, site: Site) -> None:
    model = card(tmp_path / "m", site.url("whole"), size=len(CONTENT))
    assert get(model) == ["model.onnx"]
    assert (tmp_path / "m" / "model.onnx").read_bytes() == CONTENT
    assert get(model) == []
    assert len(site.requests) == 1


def test_a_git_hash_is_proof_too(tmp_path: Path, site: Site) -> None:
    (tmp_path / "copy").write_bytes(CONTENT)
    blob = git_blob_sha1_of(tmp_path / "copy")
    assert get(card(tmp_path / "m", site.url("whole"), sha256=None, blob=blob)) == ["model.onnx"]
    with pytest.raises(ModelkitError, match="has git hash"):
        get(card(tmp_path / "n", site.url("other"), sha256=None, blob=blob))


def test_the_git_hash_is_that_of_git(tmp_path: Path) -> None:
    # printf 'hello\n' | git hash-object --stdin
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert git_blob_sha1_of(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_an_interrupted_download_resumes(tmp_path: Path, site: Site) -> None:
    with pytest.raises(ModelkitError, match=r"100,000 bytes are kept, run it again to go on"):
        get(card(tmp_path / "m", site.url("cut")))
    assert names(tmp_path / "m") == ["model.onnx.part"]
    assert get(card(tmp_path / "m", site.url("whole"))) == ["model.onnx"]
    assert site.requests[-1] == ("/whole", "bytes=100000-")
    assert (tmp_path / "m" / "model.onnx").read_bytes() == CONTENT
    assert names(tmp_path / "m") == ["model.onnx"]


def test_a_server_without_ranges_starts_over(tmp_path: Path, site: Site) -> None:
    model = card(tmp_path / "m", site.url("plain"))
    (tmp_path / "m" / "model.onnx.part").write_bytes(CONTENT[:5000])
    assert get(model) == ["model.onnx"]
    assert (tmp_path / "m" / "model.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize("partial", [b"x" * 5000, CONTENT + b"more"])
def test_a_leftover_of_another_file_is_thrown_away(tmp_path: Path, site: Site, partial: bytes) -> None:
    model = card(tmp_path / "m", site.url("whole"), size=len(CONTENT))
    (tmp_path / "m" / "model.onnx.part").write_bytes(partial)
    assert get(model) == ["model.onnx"]
    assert (tmp_path / "m" / "model.onnx").read_bytes() == CONTENT


def test_a_whole_leftover_is_used_as_it_is(tmp_path: Path, site: Site) -> None:
    model = card(tmp_path / "m", site.url("whole"), size=len(CONTENT))
    (tmp_path / "m" / "model.onnx.part").write_bytes(CONTENT)
    assert get(model) == ["model.onnx"]
    assert site.requests == []


def test_a_wrong_file_is_never_put_in_place(tmp_path: Path, site: Site) -> None:
    with pytest.raises(ModelkitError, match="has sha256"):
        get(card(tmp_path / "m", site.url("other")))
    assert names(tmp_path / "m") == []


def test_a_download_stops_at_the_size_of_the_card(tmp_path: Path, site: Site) -> None:
    with pytest.raises(ModelkitError, match="would send 1,048,576 bytes, where the card says 10; thrown away"):
        get(card(tmp_path / "m", site.url("whole"), size=10))
    with pytest.raises(ModelkitError, match="sends more than 10 bytes, where the card says 10; thrown away"):
        get(card(tmp_path / "m", site.url("endless"), size=10))
    assert names(tmp_path / "m") == []
    # What the operating system holds between the two, and no more.
    assert site.sent < 64 * len(CONTENT)


@pytest.mark.parametrize("path", ["to-file", "to-ftp", "to-https"])
def test_no_redirect_leads_to_another_scheme(tmp_path: Path, site: Site, path: str) -> None:
    with pytest.raises(ModelkitError, match=r"which is not http; not followed|to url 'file:.*' is not allowed"):
        get(card(tmp_path / "m", site.url(path)))
    assert names(tmp_path / "m") == []


def test_a_link_in_place_of_the_part_is_not_written_through(tmp_path: Path, site: Site) -> None:
    model, outside = card(tmp_path / "m", site.url("whole")), tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "m" / "model.onnx.part").symlink_to(outside)
    (tmp_path / "m" / "model.onnx").symlink_to(outside)
    assert get(model) == ["model.onnx"]
    assert outside.read_bytes() == b"precious"
    assert not (tmp_path / "m" / "model.onnx").is_symlink()


def test_a_folder_in_place_of_the_file_is_reported_clearly(tmp_path: Path, site: Site) -> None:
    model = card(tmp_path / "m", site.url("whole"))
    (tmp_path / "m" / "model.onnx").mkdir()
    with pytest.raises(ModelkitError, match=r"model\.onnx is a folder"):
        get(model)


def test_a_folder_that_cannot_be_written_is_reported_clearly(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = card(tmp_path / "m", site.url("whole"))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ModelkitError, match="cannot be written: No space left on device"):
        get(model)


def test_a_length_of_thousands_of_digits_is_no_length(tmp_path: Path, site: Site) -> None:
    with pytest.raises(ModelkitError, match="could not be fetched"):
        get(card(tmp_path / "m", site.url("digits")))


def test_server_messages_are_escaped_on_the_terminal(tmp_path: Path, site: Site) -> None:
    with pytest.raises(ModelkitError, match="answered 404") as caught:
        get(card(tmp_path / "m", site.url("escapes")))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_next_address_is_tried(tmp_path: Path, site: Site) -> None:
    model = card(tmp_path / "m", site.url("gone"), site.url("other"), site.url("redirect"))
    assert get(model) == ["model.onnx"]


def test_a_damaged_file_is_replaced(tmp_path: Path, site: Site) -> None:
    model = card(tmp_path / "m", site.url("whole"))
    (tmp_path / "m" / "model.onnx").write_bytes(b"damaged")
    assert get(model) == ["model.onnx"]


def test_only_https_is_fetched_by_default(tmp_path: Path, site: Site) -> None:
    with pytest.raises(ModelkitError, match="only https is fetched"):
        fetch(card(tmp_path / "m", site.url("whole")))
    assert site.requests == []


def test_no_server_is_reported_clearly(tmp_path: Path) -> None:
    with Site() as server:
        url = server.url("whole")
    with pytest.raises(ModelkitError, match="Connection refused"):
        get(card(tmp_path / "m", url))


def test_the_command_reports_failures(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    raw = {
        "name": "mine",
        "version": "1.0.0",
        "files": [{"path": "model.onnx", "sha256": SHA256}],
        "input": {"name": "input", "width": 1, "height": 1},
        "output": {"name": "output", "kind": "logit", "labels": ["a", "b"]},
    }
    (folder / "card.json").write_text(json.dumps(raw))
    result = CliRunner().invoke(app, ["fetch", "mine", "--models-dir", str(folder.parent)])
    assert result.exit_code == 3
    assert "names no URL" in result.output
