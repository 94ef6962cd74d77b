"""8-bit weights by ONNX Runtime's own quantizers: dynamic for fully connected layers, static for convolutions.

Weights take 7 of the 8 bits (``reduce_range``): on x86-64 CPUs without VNNI, the 8-bit kernels add pairs of products in
16 bits, which 8-bit weights overflow; the same file would then answer differently on another host of the fleet
(onnxruntime.ai/docs/performance/model-optimizations/quantization.html, 'When and why do I need to try U8U8').
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loupe.model import Array

METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}
REDUCE_RANGE = True


def int8_dynamic(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its Gemm and MatMul layers in 8 bits; their inputs are quantized anew for each call.

    Convolutions are not quantized: ConvInteger is slower than float.
    """
    with _files(proto) as (source, target):
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=REDUCE_RANGE,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(target)


def int8_static(
    proto: onnx.ModelProto,
    input_name: str,
    calibration: Sequence[Array],
    *,
    method: str = "minmax",
    operators: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """Return the model with 8-bit weights, one scale for each channel, and activations by the calibration images.

    Parameters
    ----------
    calibration
        Input batches of one image.
    method
        ``minmax`` takes the whole observed range, ``percentile`` cuts the rarest values off.
    operators
        Types of operators to quantize; None: all that can be.
    """
    with _files(proto) as (source, target):
        quantize_static(
            source,
            target,
            _Images(input_name, calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators) if operators else None,
            per_channel=True,
            reduce_range=REDUCE_RANGE,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[method],
            extra_options={"CalibPercentile": 99.99} if method == "percentile" else {},
        )
        return onnx.load(target)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, input_name: str, batches: Sequence[Array]) -> None:
        self._feeds: Iterator[dict[str, Any]] = iter([{input_name: batch} for batch in batches])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


@contextmanager
def _files(proto: onnx.ModelProto) -> Iterator[tuple[Path, Path]]:
    """Temporary paths for the library, which works on files; its log output is suppressed."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as scratch, redirect_stdout(StringIO()):
            source, target = Path(scratch) / "float.onnx", Path(scratch) / "int8.onnx"
            onnx.save(onnx.shape_inference.infer_shapes(proto), source)
            yield source, target
    finally:
        root.setLevel(level)
