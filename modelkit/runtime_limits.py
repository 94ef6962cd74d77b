"""Versions and operators that the installed ONNX Runtime supports, determined from the runtime itself."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import onnx
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from modelkit.graph import graphs

if TYPE_CHECKING:
    from collections.abc import Callable

# The runtime has one class for each status and none above them.
_ERRORS = tuple(kind for kind in vars(runtime).values() if isinstance(kind, type) and issubclass(kind, Exception))
_STANDARD = "ai.onnx"
_LISTED = 4
# Versions above the onnx package's own that are tried to determine the highest supported one.
_ABOVE = 8


def obstacle_to_loading(proto: onnx.ModelProto) -> str | None:
    """Return why the runtime cannot load a graph, as the rest of a sentence that begins with the file's name.

    Version and operators are checked first, because the runtime's own messages are internal C++ errors.
    """
    here = f"ONNX Runtime {ort.__version__}"
    if not _reads(proto.ir_version, 17):
        newest = _highest(lambda version: _reads(version, 17), onnx.IR_VERSION + _ABOVE)
        return (
            f"has IR version {proto.ir_version}, and {here}, which serves, reads up to {newest}. Export it with an "
            f"older onnx package, or save it again with model.ir_version = {newest}."
        )
    opset = next((item.version for item in proto.opset_import if item.domain in ("", _STANDARD)), None)
    if opset is not None and not _reads(8, opset):
        newest = _highest(lambda version: _reads(8, version), onnx.defs.onnx_opset_version() + _ABOVE)
        return (
            f"is written for opset {opset}, and {here}, which serves, reads up to {newest}. Export it again with "
            f"opset_version={newest} or lower (17 to 21 suit every model)."
        )
    unknown = sorted(
        {
            f"{node.op_type} of {node.domain!r}" if node.domain not in ("", _STANDARD) else node.op_type
            for graph in graphs(proto.graph)
            for node in graph.node
            if ("" if node.domain == _STANDARD else node.domain, node.op_type) not in _operators()
        }
    )
    if unknown:
        shown = ", ".join(unknown[:_LISTED]) + (f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else "")
        return (
            f"has custom operators that {here} does not know: {shown}. Export it without them (preprocessing and "
            "chosen classes belong outside the graph; plug-ins of TensorRT or OpenVINO do not run here)."
        )
    return None


@lru_cache(maxsize=1)
def _operators() -> frozenset[tuple[str, str]]:
    """Domain and name of every operator that the runtime has."""
    return frozenset((schema.domain, schema.name) for schema in runtime.get_all_operator_schema())


@lru_cache(maxsize=64)
def _reads(ir_version: int, opset: int) -> bool:
    """Whether the runtime loads a graph of one operator in these versions."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    proto = onnx.helper.make_model(
        onnx.helper.make_graph([node], "probe", value[:1], value[1:]),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=ir_version,
    )
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except _ERRORS:
        return False
    return True


def _highest(reads: Callable[[int], bool], start: int) -> int:
    return next((version for version in range(start, 0, -1) if reads(version)), 0)
