"""Downloads of a model's files: resumed, verified before use, put in place in one step."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import IO, TYPE_CHECKING, Any

from loupe.card import CardError
from loupe.model_files import check_file, require_inside

from modelkit.errors import ModelkitError
from modelkit.reading import Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from loupe.card import Card, ModelFile

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30
_PARTIAL = ".part"
# Where the card gives no size: what a container image for Lambda may have in all.
MAX_BYTES = 10 * 1024**3
_SHOWN = 200
# Of a length that counts: 9,999 TB. A longer one says nothing, and Python would not even read one of 4,301.
_MAX_DIGITS = 16


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects within one scheme only: never from https to http, ftp or file."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if newurl.partition(":")[0].lower() != req.type:
            raise ModelkitError(
                f"{req.full_url} redirects to {newurl[:_SHOWN]!r}, which is not {req.type}; not followed."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(card: Card, progress: Progress = silent, *, schemes: tuple[str, ...] = ("https",)) -> list[str]:
    """Download the files of the card that are missing or incomplete.

    An interrupted download stays as ``<file>.part`` and is resumed the next time. A file takes its name only when
    size and checksum are those of the card.

    Returns
    -------
    list[str]
        The downloaded paths; the other files were complete already.

    Raises
    ------
    ModelkitError
        If no URL gives the right file.
    """
    brought = []
    for file in card.files:
        try:
            check_file(card.directory, file, content=True)
            continue
        except CardError as error:
            complaint = str(error)
        if not file.urls:
            raise ModelkitError(
                f"{complaint} The card of {card.name} names no URL for it: put the file into {card.directory} under "
                "exactly that name."
            )
        place = card.directory / file.path
        try:
            require_inside(card.directory, place)
            place.parent.mkdir(parents=True, exist_ok=True)
            _fetch_file(card, file, progress, schemes)
        except CardError as error:
            raise ModelkitError(str(error)) from None
        except OSError as error:
            raise ModelkitError(f"{place} cannot be written: {error.strerror or error}.") from None
        brought.append(file.path)
    return brought


def _fetch_file(card: Card, file: ModelFile, progress: Progress, schemes: tuple[str, ...]) -> None:
    failures = []
    place = card.directory / file.path
    for url in file.urls:
        if url.partition(":")[0] not in schemes:
            failures.append(f"{url}: only {', '.join(schemes)} is fetched")
            continue
        partial = place.with_name(place.name + _PARTIAL)
        resumed = _resumable(partial)
        try:
            _download(url, partial, file, progress)
            difference = _difference(card, file, partial)
            if difference and resumed:
                # What was there before may be of another version of the file: once more, from the start.
                partial.unlink()
                _download(url, partial, file, progress)
                difference = _difference(card, file, partial)
        except _TooLongError as error:
            partial.unlink(missing_ok=True)
            failures.append(f"{url}: {error}; thrown away")
            continue
        except (_ConnectionError, http.client.HTTPException) as error:
            resumption = (
                f"; {partial.stat().st_size:,} bytes are kept, run it again to go on" if partial.is_file() else ""
            )
            failures.append(f"{url}: {error or type(error).__name__}{resumption}")
            continue
        if difference:
            partial.unlink()
            failures.append(f"{url}: {difference}; thrown away")
            continue
        if place.is_dir():
            raise ModelkitError(f"{place} is a folder; move it away, a file of this name belongs there.")
        partial.replace(place)
        return
    raise ModelkitError(f"{file.path} of {card.name} could not be fetched. " + " | ".join(failures))


class _TooLongError(Exception):
    """A server sends more bytes than the card states."""


class _ConnectionError(Exception):
    """The connection ends before the download does."""


def _resumable(partial: Path) -> bool:
    """Whether a partial download exists. Anything but a regular file is removed, never written through."""
    if partial.is_symlink() or (partial.exists() and not partial.is_file()):
        partial.unlink()
    return partial.is_file()


def _difference(card: Card, file: ModelFile, partial: Path) -> str | None:
    try:
        check_file(card.directory, file._replace(path=str(partial.relative_to(card.directory))), content=True)
    except CardError as error:
        return str(error).rstrip(".")
    return None


def _download(url: str, partial: Path, file: ModelFile, progress: Progress) -> None:
    """Append the missing bytes to ``partial``, up to the card's size.

    Raises
    ------
    _TooLongError
        If the server sends more; nothing is written beyond the size.
    _ConnectionError
        If the server or the network ends the connection early.
    """
    limit = file.bytes or MAX_BYTES
    have = partial.stat().st_size if partial.is_file() else 0
    if file.bytes is not None and have >= file.bytes:
        if have == file.bytes:
            return
        partial.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the scheme was checked by the caller)
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return
        # The server's text goes to a terminal: no control characters, and not all of it.
        reason = ascii(str(error.reason))[1:-1][:_SHOWN]
        raise _ConnectionError(f"the server answered {error.code} {reason}") from None
    except OSError as error:
        raise _ConnectionError(str(getattr(error, "reason", None) or error)) from None
    with response:
        resuming = have > 0 and response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resuming else 0
        length = response.headers.get("Content-Length", "")
        counts = length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS
        total = have + int(length) if counts else file.bytes
        if total is not None and total > limit:
            raise _TooLongError(f"the server would send {total:,} bytes, {_limit(file)}")
        with partial.open("ab" if resuming else "wb") as sink:
            while block := _read(response, min(_BLOCK, limit - have + 1)):
                if have + len(block) > limit:
                    raise _TooLongError(f"the server sends more than {limit:,} bytes, {_limit(file)}")
                sink.write(block)
                have += len(block)
                progress(f"fetching {file.path}", have, total or have)
    if total is not None and have < total:
        raise _ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _limit(file: ModelFile) -> str:
    return "where the card says " + f"{file.bytes:,}" if file.bytes else f"and {MAX_BYTES:,} are the most"


def _read(response: Any, size: int) -> bytes:
    try:
        data: bytes = response.read(size)
    except OSError as error:
        raise _ConnectionError(str(error) or type(error).__name__) from None
    return data
