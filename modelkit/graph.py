"""Read ONNX files without their weights; every defect of a file has its own error message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper, inliner

from modelkit.errors import ModelkitError
from modelkit.file_formats import HEAD_BYTES, describe_other_format, describe_zip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Protocol buffers end at 2 GiB; a graph whose weights stand inside cannot be larger.
LARGEST_PROTO_BYTES = 2**31 - 1
# Of a length or an offset in an external file: 9,999 TB.
_MAX_DIGITS = 16
# Of a file's path in a card (`loupe.card.PATH_PATTERN`).
_MAX_LOCATION = 255


@dataclass(frozen=True)
class ExternalFile:
    """A file with external weights of a graph.

    ``location`` is its name as the graph spells it, ``needed_bytes`` the least size that holds every tensor,
    ``actual_bytes`` its size or None, ``tensors`` their number, ``look_alike`` a file that may be it, renamed.
    """

    location: str
    needed_bytes: int
    actual_bytes: int | None
    tensors: int
    look_alike: str | None = None

    @property
    def state(self) -> Literal["whole", "missing", "truncated"]:
        if self.actual_bytes is None:
            return "missing"
        return "whole" if self.actual_bytes >= self.needed_bytes else "truncated"

    def error_message(self, graph: str) -> str:
        """Return the error message of an incomplete file."""
        if self.state == "truncated":
            return (
                f"{self.location} is cut off: {self.actual_bytes:,} bytes, but {graph} needs at least "
                f"{self.needed_bytes:,}. Download it again."
            )
        if self.look_alike:
            return (
                f"{self.location} is missing; {self.look_alike} beside it has the right size. {graph} holds the exact "
                f"name of its data: rename {self.look_alike} to {self.location}."
            )
        return (
            f"{self.location} is missing: {graph} keeps {self.tensors} weight tensor(s), {self.needed_bytes:,} bytes, "
            "in a file of exactly that name. Put it beside the graph, under that name."
        )


def load_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file without its external data.

    Raises
    ------
    ModelkitError
        If it is missing or is not an ONNX file.
    """
    if path.is_dir():
        raise ModelkitError(f"{path} is a folder; give the .onnx file in it.")
    data = _read(path)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        proto.Clear()
    if not proto.graph.output or not proto.opset_import:
        raise ModelkitError(f"{path} is not an ONNX model, or it is cut off ({len(data):,} bytes). Download it again.")
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    return proto


def _read(path: Path) -> bytes:
    """Read a file that may be an ONNX model; other formats are named, and not read to their end."""
    try:
        if path.exists() and not path.is_file():
            raise ModelkitError(f"{path} is not a regular file.")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if not head:
                raise ModelkitError(f"{path} is empty: the download or the export was cut off.")
            if what := describe_other_format(head):
                raise ModelkitError(f"{path} {what}.")
            if size > LARGEST_PROTO_BYTES:
                raise ModelkitError(
                    f"{path} has {size:,} bytes, and an ONNX file at most 2 GiB. Save its weights as external data."
                )
            data = head + file.read()
    except OSError as error:
        raise ModelkitError(f"{path} cannot be read: {error.strerror}.") from None
    if what := describe_zip(data):
        raise ModelkitError(f"{path} {what}.")
    return data


def load_whole(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with all its weights inside.

    Raises
    ------
    ModelkitError
        If a part is missing or cut off, or the whole is larger than one file can be.
    """
    proto = load_graph(path)
    files = external_files(proto, path.parent)
    for file in files:
        if file.state != "whole":
            raise ModelkitError(file.error_message(path.name))
    if path.stat().st_size + sum(file.needed_bytes for file in files) > LARGEST_PROTO_BYTES:
        raise ModelkitError(f"{path} has more than 2 GiB of weights, which one ONNX file cannot hold.")
    external_data_helper.load_external_data_for_model(proto, str(path.parent))
    return proto


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph and the ones inside its nodes (If, Loop)."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs(attribute.g)
            elif attribute.type == onnx.AttributeProto.GRAPHS:
                for inner in attribute.graphs:
                    yield from graphs(inner)


def run_dependence(proto: onnx.ModelProto) -> str | None:
    """Return why an image's output depends on the other images of its run, as far as the operators show; else None.

    `DynamicQuantizeLinear` takes the least and the largest value of its whole input, the batch axis included (ONNX
    operators, 'DynamicQuantizeLinear'); ONNX Runtime's fused forms of it have names that begin alike.
    """
    names = {node.op_type for graph in (*graphs(proto.graph), *proto.functions) for node in graph.node}
    dynamic = sorted(name for name in names if name.startswith("DynamicQuantize"))
    return f"{dynamic[0]} takes one scale for all images of a run" if dynamic else None


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every weight: initializers, and the values of Constant nodes."""
    for graph in graphs(proto.graph):
        yield from graph.initializer
        for node in graph.node:
            if node.op_type == "Constant":
                for attribute in node.attribute:
                    if attribute.type == onnx.AttributeProto.TENSOR:
                        yield attribute.t


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Size of a tensor's values in bytes, by its shape and type."""
    count = 1
    for side in tensor.dims:
        count *= side
    if tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        return (count + 1) // 2
    return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def external_files(proto: onnx.ModelProto, folder: Path) -> tuple[ExternalFile, ...]:
    """List the files that hold a graph's weights, and whether they exist and are long enough."""
    needed: dict[str, int] = {}
    counts: dict[str, int] = {}
    for tensor in tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entry = {item.key: item.value for item in tensor.external_data}
        location = entry.get("location", "")
        length = _count(entry, "length", tensor_bytes(tensor))
        needed[location] = max(needed.get(location, 0), _count(entry, "offset", 0) + length)
        counts[location] = counts.get(location, 0) + 1
    for location in needed:
        if len(location) > _MAX_LOCATION:
            raise ModelkitError(
                f"The graph keeps weights in a file whose name has {len(location):,} characters "
                f"({location[:40]!r}...), and a card allows {_MAX_LOCATION}. Save it under a shorter name."
            )
        if not location or location.startswith("/") or "\\" in location or ".." in location.split("/"):
            raise ModelkitError(
                f"The graph keeps weights in {location!r}, outside its own folder. Save it with the data beside it."
            )
    return tuple(_external(folder, location, size, counts[location]) for location, size in sorted(needed.items()))


def _count(entry: Mapping[str, str], key: str, default: int) -> int:
    """Read a number of bytes of an external tensor; the format has it as text (onnx.proto, ``external_data``)."""
    text = entry.get(key) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ModelkitError(
            f"The graph keeps weights in {entry.get('location', '')[:80]!r} with the {key} {text[:20]!r}, which is no "
            "number of bytes. Export it again."
        )
    return int(text)


def _external(folder: Path, location: str, needed: int, count: int) -> ExternalFile:
    path = folder / location
    if path.is_file():
        return ExternalFile(location, needed, path.stat().st_size, count)
    similar = [
        other.name
        for other in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if other.is_file() and other.suffix != ".onnx" and needed <= other.stat().st_size <= needed + 2**20
    ]
    return ExternalFile(location, needed, None, count, similar[0] if len(similar) == 1 else None)
