"""Check the files that a model's card names: inside the model's folder, regular, with the card's size and hash.

Everything that opens such a file calls this first: the function at INIT, modelkit's add, fetch and verify, and, as
``python -m loupe.model_files FOLDER``, the image build, the local cloud and synth. INIT checks location, type and size,
which takes microseconds; hashing 80 MB would add 0.1 s or more to every cold start, so contents are compared when a
container image is built and before.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loupe.card import Card, CardError, ModelFile, load_card

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_GOLDEN_BYTES = 32 * 1024 * 1024
# A container image of Lambda, uncompressed (AWS Lambda quotas); nothing larger is hashed.
MAX_FILE_BYTES = 10 * 1024**3
_BLOCK = 1 << 20


class MissingFileError(CardError):
    """A file that a card names and that does not exist."""


def locate(folder: Path, path: str) -> Path:
    """Return the path of a regular file inside a folder.

    Raises
    ------
    MissingFileError
        If there is no file of that name.
    CardError
        If it is outside the folder, also by a symbolic link, or is not a regular file.
    """
    place = folder / path
    try:
        real = place.resolve(strict=True)
        kind = real.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if place.is_symlink():
            raise CardError(f"{path} in {folder.name}/ is a symbolic link that leads nowhere.") from None
        raise MissingFileError(f"{path} is missing in {folder.name}/.") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name or its links cannot be followed"
        raise CardError(f"{path} in {folder.name}/ cannot be read: {reason}.") from None
    if not real.is_relative_to(folder.resolve()):
        raise CardError(f"{path} leads out of {folder.name}/. Put the file itself there, not a link to it.")
    if not stat.S_ISREG(kind):
        raise CardError(f"{path} in {folder.name}/ is not a regular file.")
    return place


def check_file(folder: Path, file: ModelFile, *, content: bool) -> Path:
    """Check a file's location, type and size, and with ``content`` its hashes, and return its path.

    Raises
    ------
    MissingFileError
        If it does not exist.
    CardError
        With a sentence that says what differs.
    """
    place = locate(folder, file.path)
    size = place.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise CardError(f"{file.path} has {size:,} bytes where the card says {file.bytes:,}.")
    if content and size > MAX_FILE_BYTES:
        raise CardError(f"{file.path} has {size:,} bytes; an image of Lambda holds {MAX_FILE_BYTES:,} at most.")
    if content:
        for kind, expected in (("sha256", file.sha256), ("git hash", file.git_blob_sha1)):
            if expected is None:
                continue
            actual = sha256_of(place) if kind == "sha256" else git_blob_sha1_of(place)
            if actual != expected:
                raise CardError(f"{file.path} has {kind} {actual}, not the card's {expected}.")
    return place


def check_files(card: Card, *, content: bool) -> None:
    """Check every file that the graph needs.

    Raises
    ------
    CardError
        For the first that is missing, outside the folder, or different from the card.
    """
    for file in card.files:
        try:
            check_file(card.directory, file, content=content)
        except MissingFileError as error:
            raise MissingFileError(
                f"{card.name}: {error} A graph and its external data keep their exact names; put it back, or run "
                f"'python -m modelkit fetch {card.name}' if the card names a URL."
            ) from None
        except CardError as error:
            raise CardError(f"{card.name}: {error}") from None


def read_golden(folder: Path, path: str) -> bytes:
    """Read a golden image: a regular file of at most ``MAX_GOLDEN_BYTES`` bytes inside the folder.

    Raises
    ------
    CardError
        If it is missing, outside the folder, or larger.
    """
    with locate(folder, path).open("rb") as file:
        data = file.read(MAX_GOLDEN_BYTES + 1)
    if len(data) > MAX_GOLDEN_BYTES:
        raise CardError(f"{path} is larger than {MAX_GOLDEN_BYTES:,} bytes, the most that a golden image may have.")
    return data


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_sha1_of(path: Path) -> str:
    """Git's hash of a file: SHA-1 of ``blob <size>``, a zero byte, and the content."""
    import hashlib

    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def complete(card: Card, base: Path) -> None:
    """Copy files of the card that are not in its folder from another folder.

    They are copied, because in a base image only root may be able to read them.

    Raises
    ------
    CardError
        If a file is in neither folder.
    """
    import shutil

    for file in card.files:
        place = card.directory / file.path
        if os.path.lexists(place):
            continue
        try:
            source = check_file(base, file, content=False)
        except CardError as error:
            folder = f"{card.directory.parent.name}/{card.directory.name}"
            raise CardError(
                f"{file.path} is neither in {folder} nor in the base's working directory: {error}"
            ) from None
        require_inside(card.directory, place)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)


def require_inside(folder: Path, place: Path) -> None:
    """Check that the folder into which a file is written is inside the model's folder.

    Raises
    ------
    CardError
        If a symbolic link leads out.
    """
    inside = place.parent
    while not inside.exists():
        inside = inside.parent
    if not inside.resolve().is_relative_to(folder.resolve()):
        raise CardError(f"{place.relative_to(folder)} leads out of {folder.name}/ by a symbolic link.")


def main(arguments: Sequence[str]) -> int:
    """Check a model's folder; print a sentence and return 1 if it cannot be served."""
    import argparse

    parser = argparse.ArgumentParser(prog="loupe.model_files", description="Check a model's card and files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", type=Path, help="folder from which missing files are copied")
    parser.add_argument("--files", choices=("all", "present", "none"), default="all", help="files to check")
    options = parser.parse_args(arguments)
    try:
        card = load_card(options.folder)
        if options.base is not None:
            complete(card, options.base)
        if options.files == "present":
            card = card._replace(
                files=tuple(file for file in card.files if os.path.lexists(options.folder / file.path))
            )
        if options.files != "none":
            check_files(card, content=True)
    except (CardError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
