"""Downloads of a model's files: resumed, verified before use, put in place in one step."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import IO, TYPE_CHECKING, Any

from modelkit.errors import ModelkitError
from modelkit.files import mismatch
from modelkit.reading import Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from loupe.card import Card, ModelFile

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30
_PARTIAL = ".part"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https down to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https://") and not newurl.startswith("https://"):
            raise ModelkitError(f"{req.full_url} redirects to {newurl}, which is not https; not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(card: Card, progress: Progress = silent, *, schemes: tuple[str, ...] = ("https",)) -> list[str]:
    """Bring every file of the card that is not there or not whole.

    An interrupted download stays as ``<file>.part`` and goes on from there next time. A file takes its name only when
    size and checksum are those of the card.

    Returns
    -------
    list[str]
        The paths that were brought; the others were whole already.

    Raises
    ------
    ModelkitError
        If no URL gives the right file.
    """
    brought = []
    for file in card.files:
        path = card.directory / file.path
        if path.is_file() and mismatch(card, file) is None:
            continue
        if not file.urls:
            raise ModelkitError(
                f"{file.path} of {card.name} is not there or not whole, and its card names no URL: put the file into "
                f"{card.directory} under exactly that name."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_file(card, file, progress, schemes)
        brought.append(file.path)
    return brought


def _fetch_file(card: Card, file: ModelFile, progress: Progress, schemes: tuple[str, ...]) -> None:
    failures = []
    for url in file.urls:
        if url.partition(":")[0] not in schemes:
            failures.append(f"{url}: only {', '.join(schemes)} is fetched")
            continue
        partial = card.directory / (file.path + _PARTIAL)
        resumed = partial.is_file()
        try:
            _download(url, partial, file, progress)
            wrong = _mismatch(card, file, partial)
            if wrong and resumed:
                # What was there before may be of another version of the file: once more, from the start.
                partial.unlink()
                _download(url, partial, file, progress)
                wrong = _mismatch(card, file, partial)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            kept = f"; {partial.stat().st_size:,} bytes are kept, run it again to go on" if partial.is_file() else ""
            failures.append(f"{url}: {reason}{kept}")
            continue
        if wrong:
            partial.unlink()
            failures.append(f"{url}: {wrong}; thrown away")
            continue
        partial.replace(card.directory / file.path)
        return
    raise ModelkitError(f"{file.path} of {card.name} could not be fetched. " + " | ".join(failures))


def _mismatch(card: Card, file: ModelFile, partial: Path) -> str | None:
    return mismatch(card, file._replace(path=str(partial.relative_to(card.directory))))


def _download(url: str, partial: Path, file: ModelFile, progress: Progress) -> None:
    """Add to ``partial`` what is missing. OSError if the server or the line gives up before the end."""
    have = partial.stat().st_size if partial.is_file() else 0
    if file.bytes is not None and have >= file.bytes:
        if have == file.bytes:
            return
        partial.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the scheme was checked by the caller)
    opener = urllib.request.build_opener(_Redirects)
    try:
        response = opener.open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return
        raise OSError(f"the server answered {error.code} {error.reason}") from None
    with response:
        resuming = have > 0 and response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resuming else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else file.bytes
        with partial.open("ab" if resuming else "wb") as sink:
            while block := response.read(_BLOCK):
                sink.write(block)
                have += len(block)
                progress(f"fetching {file.path}", have, total or have)
    if total is not None and have < total:
        raise OSError(f"the connection ended after {have:,} of {total:,} bytes")
