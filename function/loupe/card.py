"""The model card: the contract between training and serving.

``models/<name>/card.json`` is the only place that defines how a model's input is produced and its output interpreted.
This module parses it without third-party imports, because every cold start imports it. ``models/card.schema.json`` is
the same contract for editors and for ``modelkit verify``; a test keeps both equal.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from loupe.input_spec import InputSpec, Resize, read_input
from loupe.json_fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Card",
    "CardError",
    "GoldenCase",
    "InputSpec",
    "ModelFile",
    "OutputSpec",
    "Resize",
    "load_card",
    "parse_card",
]

Kind = Literal["logit", "probability", "logits", "probabilities", "multilabel-logits", "multilabel-probabilities"]

KINDS = ("logit", "probability", "logits", "probabilities", "multilabel-logits", "multilabel-probabilities")
BINARY_KINDS = ("logit", "probability")
MULTILABEL_KINDS = ("multilabel-logits", "multilabel-probabilities")
LOGIT_KINDS = ("logit", "logits", "multilabel-logits")
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
PATH_PATTERN = re.compile(r"(?!/)(?!(.*/)?\.\.(/|$))[^\\\x00-\x1f\x7f]{1,255}")
LABEL_PATTERN = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
# Limits of a card's content; models/card.schema.json has the same.
MAX_CARD_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_FILES = 100
MAX_LABELS = 32_768
MAX_GOLDEN = 1000
VERSION_PATTERN = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class CardError(ValueError):
    """A card that cannot be served. The message is a sentence that names the card, the key and the fix."""


class ModelFile(NamedTuple):
    """A file of the model: ``path`` relative to the card's folder, ``sha256`` in hex, size in bytes."""

    path: str
    sha256: str | None
    bytes: int | None
    urls: tuple[str, ...] = ()
    git_blob_sha1: str | None = None


class OutputSpec(NamedTuple):
    """How the output is interpreted. For the binary kinds the one number is that of ``labels[1]``.

    ``independent`` is false where an image's output depends on the other images of its run, as in graphs that
    quantize activations dynamically (one scale for the whole batch): such a graph is run one image at a time.
    ``thresholds``, for the multilabel kinds only, is the minimum probability of each label.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    temperature: float = 1.0
    independent: bool = True
    thresholds: tuple[float, ...] = ()

    @property
    def multilabel(self) -> bool:
        """Whether an image may have any number of labels, independently."""
        return self.kind in MULTILABEL_KINDS

    @property
    def size(self) -> int:
        """Number of values that the graph returns for each image."""
        return 1 if self.kind in BINARY_KINDS else len(self.labels)


class GoldenCase(NamedTuple):
    """An image with an expected result: the ``probability`` of ``label``, within ``tolerance``."""

    image: str
    label: str
    probability: float
    tolerance: float


class Card(NamedTuple):
    """A parsed card. ``raw`` is its JSON, with the parts that serving does not use (evaluation, provenance)."""

    directory: Path
    name: str
    version: str
    variant: str
    description: str
    graph: str
    files: tuple[ModelFile, ...]
    input: InputSpec
    output: OutputSpec
    golden: tuple[GoldenCase, ...]
    raw: Mapping[str, Any]

    @property
    def graph_path(self) -> Path:
        return self.directory / self.graph


def load_card(directory: Path | str) -> Card:
    """Read ``card.json`` of a model's folder.

    Raises
    ------
    CardError
        If it is missing, is not JSON, or is not a valid card.
    """
    directory = Path(directory)
    return parse_card(card_json(directory), directory)


def card_json(directory: Path) -> Any:
    """Read ``card.json`` of a model's folder as JSON of bounded size and depth; `parse_card` validates it.

    Raises
    ------
    CardError
        If it is missing, is not JSON or exceeds the bounds.
    """
    path = directory / "card.json"
    try:
        if path.exists() and not path.is_file():
            raise CardError(f"{path} is not a regular file.")
        if path.is_symlink() and not path.resolve().is_relative_to(directory.resolve()):
            raise CardError(f"{path} is a link that leads out of {directory.name}/. Put the file itself there.")
        with path.open("rb") as file:
            data = file.read(MAX_CARD_BYTES + 1)
        if len(data) > MAX_CARD_BYTES:
            raise CardError(f"{path} is larger than {MAX_CARD_BYTES:,} bytes, which no card needs.")
        raw = json.loads(data)
    except (FileNotFoundError, NotADirectoryError):
        raise CardError(
            f"{path} is missing: every model has a folder with a card.json (see docs/bring-your-own-model.md)."
        ) from None
    except OSError as error:
        raise CardError(f"{path} cannot be read: {error.strerror}.") from None
    except CardError:
        raise
    except ValueError as error:
        raise CardError(f"{path} is not valid JSON: {error}.") from None
    except RecursionError:
        raise CardError(f"{path} is nested more than {MAX_DEPTH} levels deep.") from None
    if _deeper_than(raw, MAX_DEPTH):
        raise CardError(f"{path} is nested more than {MAX_DEPTH} levels deep.")
    return raw


def _deeper_than(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested deeper. Iterative, because the depth of recursion is limited."""
    inner = [value]
    for _ in range(levels):
        inner = [item for part in inner if isinstance(part, (list, dict))
                 for item in (part.values() if isinstance(part, dict) else part)]  # fmt: skip
        if not inner:
            return False
    return any(isinstance(part, (list, dict)) for part in inner)


def parse_card(raw: Any, directory: Path) -> Card:
    """Validate a card's JSON and return it with types; see `load_card`."""
    top = Fields(raw, f"card.json of {directory.name!r}", CardError)
    top.only(
        "$schema", "name", "version", "variant", "description", "graph", "files", "input", "output", "golden",
        "evaluation", "release", "provenance", "license", "quantization", "training",
    )  # fmt: skip
    name = top.text("name")
    if not NAME_PATTERN.fullmatch(name):
        raise top.error("name", f"is {name[:80]!r} but must be lower-case letters, digits, '.', '_' or '-'")
    version = top.text("version")
    if not VERSION_PATTERN.fullmatch(version):
        raise top.error("version", f"is {version[:80]!r} but must be three numbers with dots between, as in 1.0.0")
    output = _output(top.child("output"))
    files = tuple(_file(item) for item in top.children("files", most=MAX_FILES))
    graph = top.text("graph", "model.onnx")
    if not files:
        raise top.error("files", "must list the model's files, the graph among them")
    if graph not in {file.path for file in files}:
        raise top.error("graph", f"is {graph[:80]!r}, which is not among the card's files")
    return Card(
        directory=directory,
        name=name,
        version=version,
        variant=top.text("variant", "fp32"),
        description=top.text("description", name),
        graph=graph,
        files=files,
        input=read_input(top.child("input")),
        output=output,
        golden=tuple(_golden(item, output) for item in top.children("golden", most=MAX_GOLDEN)),
        raw=top.value,
    )


def _file(item: Fields) -> ModelFile:
    item.only("path", "sha256", "bytes", "urls", "git_blob_sha1")
    path = _path(item, "path")
    digest = item.optional_text("sha256")
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise item.error("sha256", "must be 64 lower-case hex digits")
    if digest is None and "git_blob_sha1" not in item.value:
        raise item.error("sha256", "is missing: give it, or git_blob_sha1 where only that is known")
    blob = item.optional_text("git_blob_sha1")
    if blob is not None and not re.fullmatch(r"[0-9a-f]{40}", blob):
        raise item.error("git_blob_sha1", "must be 40 lower-case hex digits")
    urls = item.texts("urls")
    if not all(url.startswith("https://") for url in urls):
        raise item.error("urls", "must begin with https://")
    return ModelFile(path, digest, item.optional_integer("bytes"), urls, blob)


def _path(item: Fields, key: str) -> str:
    path = item.text(key)
    if not PATH_PATTERN.fullmatch(path):
        raise item.error(key, f"is {path[:80]!r} but must stay inside the model's folder, in at most 255 characters")
    return path


def _output(item: Fields) -> OutputSpec:
    item.only("name", "kind", "labels", "temperature", "independent", "thresholds")
    kind = cast("Kind", item.choice("kind", KINDS))
    labels = item.texts("labels", least=2, most=MAX_LABELS)
    if not all(map(LABEL_PATTERN.fullmatch, labels)):
        raise item.error("labels", "must be texts of 1 to 200 characters on one line")
    if len(set(labels)) != len(labels):
        raise item.error("labels", "must differ from each other")
    if kind in BINARY_KINDS and len(labels) != 2:
        raise item.error("labels", f"must be two for kind {kind!r}, not {len(labels)}")
    temperature = item.number("temperature", 1)
    if temperature <= 0:
        raise item.error("temperature", "must be positive")
    if temperature != 1 and kind not in LOGIT_KINDS:
        raise item.error("temperature", "scales logits; this output is already a probability")
    independent = item.boolean("independent", default=True)
    return OutputSpec(item.text("name"), kind, labels, temperature, independent, _thresholds(item, kind, len(labels)))


def _thresholds(item: Fields, kind: Kind, count: int) -> tuple[float, ...]:
    """Read one threshold for all labels, or one for each."""
    if kind not in MULTILABEL_KINDS:
        if "thresholds" in item.value:
            raise item.error("thresholds", f"belongs to the kinds {' and '.join(MULTILABEL_KINDS)} only")
        return ()
    listed = item.value.get("thresholds", [0.5])
    if not isinstance(listed, list) or len(listed) not in (1, count):
        raise item.error("thresholds", f"must be a list of one number for all labels, or of {count}, one for each")
    thresholds = item.numbers("thresholds", len(listed), 0.5)
    if not all(0 < value < 1 for value in thresholds):
        raise item.error("thresholds", "must be above 0 and below 1")
    return thresholds * (count if len(thresholds) == 1 else 1)


def _golden(item: Fields, output: OutputSpec) -> GoldenCase:
    item.only("image", "label", "probability", "tolerance")
    case = GoldenCase(
        _path(item, "image"), item.text("label"), item.number("probability"), item.number("tolerance", 0.02)
    )
    if case.label not in output.labels:
        raise item.error("label", f"is {case.label[:80]!r}, which is not one of the output's labels")
    if not 0 <= case.probability <= 1 or not 0 < case.tolerance <= 0.5:
        raise item.error("", "needs a probability from 0 to 1 and a tolerance above 0, at most 0.5")
    return case
