"""A variant of a model: the same labels, other weights, its own folder and card."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from loupe.card import Card, CardError, load_card
from loupe.model_files import MissingFileError, read_golden, sha256_of

from modelkit.errors import ModelkitError
from modelkit.folders import describe_file, staged_folder, write_card
from modelkit.graph import run_dependence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx

GRAPH_NAME = "model.onnx"
# What is said about the base's weights and is not true of the variant's.
_BASE_ONLY = ("evaluation", "training", "quantization")
_TOOLS = ("onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Base:
    """The model that a variant comes from."""

    card: Card
    graph_sha256: str

    @classmethod
    def of(cls, card: Card) -> Base:
        return cls(card, sha256_of(card.graph_path))


class RejectedError(Exception):
    """Raised inside `make_variant` to discard the folder."""


@dataclass
class Variant:
    """A variant being made: ``card`` reads its temporary folder, ``target`` is where it will stand."""

    folder: Path
    target: Path
    card: Card
    raw: dict[str, Any]

    def record(self, **figures: Any) -> None:
        """Write measured figures into the card."""
        self.raw["quantization"] |= figures
        write_card(self.folder, self.raw)

    def discard(self) -> None:
        """Discard the folder."""
        raise RejectedError


def _output(card: Card, proto: onnx.ModelProto) -> dict[str, Any]:
    """The base's output section, with what the new graph says about images that share a run."""
    output: dict[str, Any] = {key: value for key, value in card.raw["output"].items() if key != "independent"}
    dependent = not card.output.independent or run_dependence(proto) is not None
    return output | ({"independent": False} if dependent else {})


@contextmanager
def make_variant(
    base: Base,
    suffix: str,
    proto: onnx.ModelProto,
    details: dict[str, Any],
    *,
    replace: bool = False,
    parent: Path | None = None,
) -> Iterator[Variant]:
    """Write a variant's folder beside its base's; it stays if the block ends without an exception or `discard`.

    Parameters
    ----------
    details
        The card's ``quantization`` object; base and tools are added to it.
    parent
        Another folder to put it into, for trials.

    Golden cases are the base's own, numbers and all: the variant has to give the base's answers.

    Raises
    ------
    ModelkitError
        If the folder exists, or the graph is too large for one file.
    """
    card = base.card
    target = (parent or card.directory.parent) / f"{card.name}-{suffix}"
    raw = {key: copy.deepcopy(value) for key, value in card.raw.items() if key not in _BASE_ONLY}
    try:
        with staged_folder(target, replace=replace) as folder:
            try:
                data = proto.SerializeToString(deterministic=True)
            except ValueError:
                raise ModelkitError(
                    f"{target.name} would be larger than 2 GiB, which one ONNX file cannot be."
                ) from None
            (folder / GRAPH_NAME).write_bytes(data)
            for case in card.golden:
                try:
                    image = read_golden(card.directory, case.image)
                except MissingFileError:
                    continue
                except CardError as error:
                    raise ModelkitError(str(error)) from None
                (folder / case.image).parent.mkdir(parents=True, exist_ok=True)
                (folder / case.image).write_bytes(image)
            raw |= {
                "name": target.name,
                "variant": suffix,
                "graph": GRAPH_NAME,
                "output": _output(card, proto),
                "files": [describe_file(folder, GRAPH_NAME)],
                "quantization": details
                | {
                    "base": {"name": card.name, "version": card.version, "graph_sha256": base.graph_sha256},
                    "tools": {tool: version(tool) for tool in _TOOLS},
                },
            }
            write_card(folder, raw)
            yield Variant(folder, target, load_card(folder), raw)
    except RejectedError:
        return
