"""The schemes by name, and which of them apply to a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelkit.quantize.float16 import float16_weights
from modelkit.quantize.int4 import ACCURACY_LEVEL, MIN_WEIGHTS, int4_weights
from modelkit.quantize.int8 import REDUCE_RANGE, int8_dynamic, int8_static
from modelkit.quantize.prepare import layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from loupe.card import InputSpec
    from loupe.model import Array

SCHEMES = ("int8-dynamic", "int8-static", "int4-weights", "mixed", "float16")
_CALIBRATED = frozenset({"int8-static", "mixed"})
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
# What 'mixed' leaves to the 4-bit layers.
_NOT_LAYERS = ("Conv", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Mul", "Concat", "Sigmoid")
# Larger blocks are smaller and load faster, smaller ones are more exact; the gate decides.
_AUTO_BLOCKS = (32, 256)
_MIXED_BLOCK = 256


@dataclass(frozen=True)
class Recipe:
    """A scheme with its parameters; what the card records."""

    scheme: str
    block: int | None = None
    method: str | None = None

    @property
    def title(self) -> str:
        extras = [f"block {self.block}" if self.block else "", self.method or ""]
        return " ".join(part for part in (self.scheme, *extras) if part)

    @property
    def details(self) -> dict[str, Any]:
        """Return the parameters as the card records them."""
        value: dict[str, Any] = {"scheme": self.scheme}
        if self.block:
            value |= {"bits": 4, "block_size": self.block, "asymmetric": True, "accuracy_level": ACCURACY_LEVEL}
        if self.scheme in {"int8-dynamic", "int8-static", "mixed"}:
            value |= {"per_channel": True, "reduce_range": REDUCE_RANGE}
        if self.method:
            value["calibration_method"] = self.method
        return value

    def apply(self, proto: onnx.ModelProto, spec: InputSpec, calibration: Sequence[Array]) -> onnx.ModelProto:
        """Return the quantized model; the same input gives the same bytes."""
        if self.scheme == "float16":
            return float16_weights(proto)
        if self.scheme == "int8-dynamic":
            return int8_dynamic(proto)
        if self.scheme == "int4-weights":
            return int4_weights(proto, self.block or 32)
        method = self.method or "minmax"
        if self.scheme == "int8-static":
            return int8_static(proto, spec.name, calibration, method=method)
        static = int8_static(proto, spec.name, calibration, method=method, operators=_NOT_LAYERS)
        return int4_weights(static, self.block or 32)


def obstacle(scheme: str, proto: onnx.ModelProto, *, calibrated: bool) -> str | None:
    """Return why a scheme makes no sense for this graph, or None."""
    convolutions = any(node.op_type in _CONVOLUTIONS for node in proto.graph.node)
    matrices = bool(layers(proto.graph, MIN_WEIGHTS))
    if scheme in _CALIBRATED and not calibrated:
        return "needs images to calibrate with (--calibration DIR)"
    if scheme == "mixed" and not convolutions:
        return "there is no convolution; int4-weights is the same"
    if scheme in {"int8-dynamic", "int4-weights", "mixed"} and not matrices:
        return f"there is no Gemm or MatMul with at least {MIN_WEIGHTS:,} constant weights"
    return None


def recipes(scheme: str, *, block: int | None = None, method: str | None = None) -> list[Recipe]:
    """Return the recipes of a scheme; ``auto`` tries every scheme, and 4 bits in small and large blocks."""
    if scheme == "auto":
        return [recipe for scheme in SCHEMES for recipe in _for_auto(scheme, block, method)]
    blocked, calibrated = scheme in {"int4-weights", "mixed"}, scheme in _CALIBRATED
    return [Recipe(scheme, (block or 32) if blocked else None, (method or "minmax") if calibrated else None)]


def _for_auto(scheme: str, block: int | None, method: str | None) -> list[Recipe]:
    blocks: Sequence[int | None] = (block,) if block else _AUTO_BLOCKS
    if scheme == "int4-weights":
        return [Recipe(scheme, size) for size in blocks]
    if scheme == "int8-static":
        return [Recipe(scheme, None, method or "minmax")]
    if scheme == "mixed":
        return [Recipe(scheme, block or _MIXED_BLOCK, method or "minmax")]
    return [Recipe(scheme)]
