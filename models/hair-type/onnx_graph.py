"""Torch modules as ONNX graphs, and sessions that run them as the endpoint does."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import loupe  # noqa: F401 - before ONNX Runtime: this turns its telemetry off
import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

INPUT, OUTPUT = "input", "logit"
OPSET = 18


def exported(module: nn.Module, side: int) -> bytes:
    """Export a module in evaluation mode; its batch normalisation is folded into its convolutions."""
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that folds and names layers predictably is the older one, and says so at each use.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval().to(memory_format=torch.contiguous_format),
            (torch.zeros(2, 3, side, side),),
            buffer,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


def session(graph: bytes | Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from an input batch to the graph's output; one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    source = graph if isinstance(graph, bytes) else str(graph)
    loaded = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(loaded.run([OUTPUT], {INPUT: batch})[0])
