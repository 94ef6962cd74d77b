"""Model folders that try to reach outside, block, fill memory or pass for another: one table for all that read them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinymodel

Spoil = Callable[[Path], None]


def change(folder: Path, **changes: Any) -> None:
    raw = json.loads((folder / "card.json").read_bytes())
    (folder / "card.json").write_text(json.dumps(raw | changes))


def change_file(folder: Path, **changes: Any) -> None:
    raw = json.loads((folder / "card.json").read_bytes())
    change(folder, files=[raw["files"][0] | changes])


def _link(target: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder.parent / "outside.onnx").write_bytes((folder / "model.onnx").read_bytes())
        (folder / "model.onnx").unlink()
        (folder / "model.onnx").symlink_to(target.format(folder=folder))

    return spoil


def _through_a_linked_folder(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "model.onnx").rename(outside / "model.onnx")
    (folder / "data").symlink_to(outside)
    change(folder, graph="data/model.onnx")
    change_file(folder, path="data/model.onnx")


def _pipe(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")


def _a_folder(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()


def _same_size(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(bytes(len((folder / "model.onnx").read_bytes())))


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()


def _git_hash_only(folder: Path) -> None:
    raw = json.loads((folder / "card.json").read_bytes())
    (entry,) = raw["files"]
    del entry["sha256"]
    entry["git_blob_sha1"] = git_hash((folder / "model.onnx").read_bytes())
    change(folder, files=[entry])
    _same_size(folder)


def _written(text: str | bytes) -> Spoil:
    return lambda folder: _write(folder / "card.json", text)


def _write(path: Path, text: str | bytes) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def _card_elsewhere(folder: Path) -> None:
    (folder / "card.json").rename(folder.parent / "elsewhere.json")
    (folder / "card.json").symlink_to(folder.parent / "elsewhere.json")


def _huge(folder: Path) -> None:
    """A sparse file of more than any image of Lambda holds, of which the card does not state the size."""
    raw = json.loads((folder / "card.json").read_bytes())
    raw["files"][0].pop("bytes", None)
    change(folder, files=raw["files"])
    os.truncate(folder / "model.onnx", 10 * 1024**3 + 1)


# The card itself: each is a sentence, and nothing beyond the folder is opened.
CARDS: dict[str, tuple[Spoil, str]] = {
    "no JSON": (_written("{"), "not valid JSON"),
    "empty": (_written("{}"), "name is missing"),
    "a list": (_written("[]"), "must be an object"),
    "files of texts": (lambda folder: change(folder, files=["model.onnx"]), r"files\[0\] must be an object"),
    "files without a path": (lambda folder: change(folder, files=[{"sha256": "0" * 64}]), "path is missing"),
    "no output": (lambda folder: change(folder, output=None), "output must be an object"),
    "labels of another kind": (
        lambda folder: change(folder, output={"name": "o", "kind": "logit", "labels": 5}), "must be a list of texts",
    ),
    "a link out of the folder": (_card_elsewhere, "is a link that leads out of"),
    "too large": (_written(b" " * (5 * 1024 * 1024)), "larger than 4,194,304 bytes"),
    "deep": (_written('{"a":' * 3000 + "1" + "}" * 3000), "nested more than 32 levels"),
    "very deep": (_written("[" * 2_000_000), "nested more than 32 levels|not valid JSON"),
    "too many labels": (
        lambda folder: change(folder, output={"name": "o", "kind": "logits", "labels": [*map(str, range(40_000))]}),
        "must list at most 32768, not 40000",
    ),
    "a long label": (
        lambda folder: change(folder, output={"name": "o", "kind": "logits", "labels": ["a" * 201, "b"]}),
        "1 to 200 characters",
    ),
    "a label with a line break": (
        lambda folder: change(folder, output={"name": "o", "kind": "logits", "labels": ["a\nb", "b"]}), "on one line",
    ),
    "a huge input": (
        lambda folder: change(folder, input={"name": "input", "width": 10**9, "height": 20}), "must be at most 4096",
    ),
    "a path above": (lambda folder: change_file(folder, path="../../x"), "must stay inside the model's folder"),
    "an absolute path": (lambda folder: change_file(folder, path="/etc/passwd"), "must stay inside the model's folder"),
    "a path with a zero byte": (lambda folder: change_file(folder, path="a\0b"), "must stay inside the model's folder"),
    "a golden device": (
        lambda folder: change(folder, golden=[{"image": "/dev/zero", "label": "red", "probability": 1}]),
        "must stay inside the model's folder",
    ),
}  # fmt: skip

# Place, kind and size: also seen at INIT.
PLACES: dict[str, tuple[Spoil, str]] = {
    "missing": (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
    "a link out": (_link("../outside.onnx"), "leads out of"),
    "an absolute link out": (_link("{folder}/../outside.onnx"), "leads out of"),
    "a link to a device": (_link("/dev/zero"), "leads out of"),
    "a link to nowhere": (_link("nowhere.onnx"), "leads nowhere"),
    "a link to itself": (_link("model.onnx"), "cannot be read|leads nowhere"),
    "through a linked folder": (_through_a_linked_folder, "leads out of"),
    "a pipe": (_pipe, "is not a regular file"),
    "a folder": (_a_folder, "is not a regular file"),
    "too short": (lambda folder: (folder / "model.onnx").write_bytes(b"1234"), "has 4 bytes where the card says"),
}

# Contents: compared where an image is made, and before.
CONTENTS: dict[str, tuple[Spoil, str]] = {
    "another file of that size": (_same_size, "has sha256 .*, not the card's"),
    "larger than any image": (_huge, "an image of Lambda holds 10,737,418,240 at most"),
    "another file than the git hash's": (_git_hash_only, "has git hash .*, not the card's"),
}


def model(folder: Path, spoil: Spoil) -> Path:
    spoil(tinymodel.write_model(folder))
    return folder
