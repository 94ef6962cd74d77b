"""The model card: the contract between training and serving.

``models/<name>/card.json`` is the only place that knows how a model's input is made and how its output is read.
This module parses it without third-party imports: it stands on the cold path. ``models/card.schema.json`` is the
same contract for editors and for ``modelkit verify``; a test holds the two equal.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from loupe.json_fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

Layout = Literal["NCHW", "NHWC"]
Color = Literal["RGB", "BGR", "L"]
Dtype = Literal["float32", "float16", "uint8"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Fit = Literal["stretch", "crop", "pad"]
Icc = Literal["ignore", "srgb"]
Kind = Literal["logit", "probability", "logits", "probabilities"]

LAYOUTS = ("NCHW", "NHWC")
COLORS = ("RGB", "BGR", "L")
DTYPES = ("float32", "float16", "uint8")
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
FITS = ("stretch", "crop", "pad")
ICC = ("ignore", "srgb")
KINDS = ("logit", "probability", "logits", "probabilities")
BINARY_KINDS = ("logit", "probability")
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
PATH_PATTERN = re.compile(r"(?!/)(?!(.*/)?\.\.(/|$))[^\\\x00-\x1f\x7f]{1,255}")
LABEL_PATTERN = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
# Limits of what a card may hold; models/card.schema.json has the same.
MAX_CARD_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_FILES = 100
MAX_LABELS = 32_768
MAX_GOLDEN = 1000
MAX_SIDE = 4096
MAX_SHORTEST = 8192
VERSION_PATTERN = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class CardError(ValueError):
    """A card that cannot be served. The message is a sentence that names the card, the key and the mend."""


class ModelFile(NamedTuple):
    """A file of the model: ``path`` relative to the card's folder, ``sha256`` in hex, size in bytes."""

    path: str
    sha256: str | None
    bytes: int | None
    urls: tuple[str, ...] = ()
    git_blob_sha1: str | None = None


class Resize(NamedTuple):
    """How an upright picture is brought to the input's size.

    ``fit`` is ``stretch`` (both sides, aspect ratio lost), ``crop`` (shortest side to ``shortest`` pixels, then the
    centre) or ``pad`` (all of it inside, ``pad_color`` around it). Filters are Pillow's, all antialiased but nearest.
    """

    filter: Filter = "bilinear"
    fit: Fit = "stretch"
    shortest: int | None = None
    pad_color: tuple[int, int, int] = (0, 0, 0)


class InputSpec(NamedTuple):
    """The input tensor: ``(pixel * scale - mean) / std`` for each channel, in the tensor's channel order.

    ``jpeg_draft`` and ``icc`` say how a file becomes pixels (see `loupe.image`): training and serving must agree on it,
    so it stands here and not in the function's settings.
    """

    name: str
    width: int
    height: int
    layout: Layout = "NCHW"
    dtype: Dtype = "float32"
    color: Color = "RGB"
    resize: Resize = Resize()
    jpeg_draft: float = 0
    icc: Icc = "ignore"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def channels(self) -> int:
        return 1 if self.color == "L" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one item, without the batch axis."""
        if self.layout == "NCHW":
            return (self.channels, self.height, self.width)
        return (self.height, self.width, self.channels)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in pixels to which an upright picture of this size is resized before crop or pad."""
        if self.resize.fit == "stretch":
            return (self.width, self.height)
        if self.resize.fit == "crop":
            if self.resize.shortest is not None:
                # torchvision's Resize cuts the longer side's fraction off.
                least_side = min(width, height)
                return (self.resize.shortest * width // least_side, self.resize.shortest * height // least_side)
            ratio = max(self.width / width, self.height / height)
            least = (self.width, self.height)
        else:
            ratio = min(self.width / width, self.height / height)
            least = (1, 1)
        return (max(least[0], round(width * ratio)), max(least[1], round(height * ratio)))


class OutputSpec(NamedTuple):
    """How the output is read. For the binary kinds the one number is about ``labels[1]``.

    ``independent`` is false where an image's output depends on the other images of its run, as in graphs that
    quantize activations dynamically (one scale for the whole batch): such a graph is run one image at a time.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    temperature: float = 1.0
    independent: bool = True

    @property
    def size(self) -> int:
        """Numbers that the graph gives for each picture."""
        return 1 if self.kind in BINARY_KINDS else len(self.labels)


class GoldenCase(NamedTuple):
    """A picture whose answer is fixed: ``probability`` is that of ``label``, right within ``tolerance``."""

    image: str
    label: str
    probability: float
    tolerance: float


class Card(NamedTuple):
    """A parsed card. ``raw`` is the JSON as it stands, for what serving does not read (evaluation, provenance)."""

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
        If it is missing, is not JSON, or does not hold what a card holds.
    """
    directory = Path(directory)
    return parse_card(card_json(directory), directory)


def card_json(directory: Path) -> Any:
    """Read ``card.json`` of a model's folder as JSON of bounded size and depth; `parse_card` checks what it holds.

    Raises
    ------
    CardError
        If it is missing or is not such JSON.
    """
    path = directory / "card.json"
    try:
        if path.exists() and not path.is_file():
            raise CardError(f"{path} is not a regular file.")
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
    """Whether lists and objects are nested deeper; level by level: recursion has Python's own limit."""
    inner = [value]
    for _ in range(levels):
        inner = [item for part in inner if isinstance(part, (list, dict))
                 for item in (part.values() if isinstance(part, dict) else part)]  # fmt: skip
        if not inner:
            return False
    return any(isinstance(part, (list, dict)) for part in inner)


def parse_card(raw: Any, directory: Path) -> Card:
    """Check a card's JSON and give it types; see `load_card`."""
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
        input=_input(top.child("input")),
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


def _input(item: Fields) -> InputSpec:
    item.only(
        "name", "width", "height", "layout", "dtype", "color", "resize", "jpeg_draft", "icc", "scale", "mean", "std"
    )
    color = cast("Color", item.choice("color", COLORS, "RGB"))
    channels = 1 if color == "L" else 3
    spec = InputSpec(
        name=item.text("name"),
        width=item.integer("width", most=MAX_SIDE),
        height=item.integer("height", most=MAX_SIDE),
        layout=cast("Layout", item.choice("layout", LAYOUTS, "NCHW")),
        dtype=cast("Dtype", item.choice("dtype", DTYPES, "float32")),
        color=color,
        resize=_resize(item.child("resize", {})),
        jpeg_draft=item.number("jpeg_draft", 0),
        icc=cast("Icc", item.choice("icc", ICC, "ignore")),
        scale=item.number("scale", 1, fraction=True),
        mean=item.numbers("mean", channels, 0.0),
        std=item.numbers("std", channels, 1.0),
    )
    if any(value <= 0 for value in spec.std):
        raise item.error("std", "must be positive: the pixels are divided by it")
    if spec.scale <= 0:
        raise item.error("scale", "must be positive")
    if spec.jpeg_draft and spec.jpeg_draft < 1:
        raise item.error("jpeg_draft", "must be 0 (off) or at least 1 (decode to no less than the resize needs)")
    if spec.dtype == "uint8" and (spec.scale != 1 or any(spec.mean) or any(value != 1 for value in spec.std)):
        raise item.error("dtype", "is uint8, which takes pixels as they are: scale, mean and std must be 1, 0 and 1")
    shortest = spec.resize.shortest
    if shortest is not None and shortest < max(spec.width, spec.height):
        raise item.error("resize.shortest", f"must be at least {max(spec.width, spec.height)}, the crop's longer side")
    return spec


def _resize(item: Fields) -> Resize:
    item.only("filter", "fit", "shortest", "pad_color")
    fit = cast("Fit", item.choice("fit", FITS, "stretch"))
    if "shortest" in item.value and fit != "crop":
        raise item.error("shortest", "belongs to fit 'crop' only")
    if "pad_color" in item.value and fit != "pad":
        raise item.error("pad_color", "belongs to fit 'pad' only")
    red, green, blue = item.numbers("pad_color", 3, 0.0)
    if not all(value.is_integer() and 0 <= value <= 255 for value in (red, green, blue)):
        raise item.error("pad_color", "must be three whole numbers from 0 to 255")
    return Resize(
        filter=cast("Filter", item.choice("filter", FILTERS, "bilinear")),
        fit=fit,
        shortest=item.optional_integer("shortest", most=MAX_SHORTEST),
        pad_color=(int(red), int(green), int(blue)),
    )


def _output(item: Fields) -> OutputSpec:
    item.only("name", "kind", "labels", "temperature", "independent")
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
    if temperature != 1 and kind not in {"logit", "logits"}:
        raise item.error("temperature", "scales logits; this output is already a probability")
    return OutputSpec(item.text("name"), kind, labels, temperature, item.boolean("independent", default=True))


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
