"""Offline graph optimisation, to a level that every x86-64 host can run, kept only where it helps."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from loupe.card import Card, load_card
from loupe.model import Model, session_options
from loupe.processor import describe

from modelkit.errors import ModelkitError
from modelkit.evaluation import Comparison, compare
from modelkit.graph import load_graph, load_whole
from modelkit.reading import Progress, silent
from modelkit.variant import Base, make_variant

if TYPE_CHECKING:
    from modelkit.labelled_images import LabelledImage

# ONNX Runtime's basic and extended levels rewrite the graph without looking at the CPU; the layout level above them
# bakes in the block size of this CPU's vector registers (nchwc), and quantized graphs are fused by what it can do.
_LEVELS = {
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
_QUANTIZED = frozenset({"DequantizeLinear", "QuantizeLinear"})
_MIN_GAIN = 1.05
_MAX_SHIFT = 1e-5


def optimized(whole: onnx.ModelProto, level: str) -> onnx.ModelProto:
    """Return a model, its weights inside, as ONNX Runtime rewrites it at ``basic`` or ``extended``.

    Raises
    ------
    ModelkitError
        If the result holds operators for one kind of CPU only.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "whole.onnx", Path(scratch) / "optimized.onnx"
        onnx.save(whole, source)
        options = session_options(1)
        options.graph_optimization_level = _LEVELS[level]
        options.optimized_model_filepath = str(target)
        ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        proto = onnx.load(target)
    bound = {node.domain for node in proto.graph.node} - {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
    if bound:
        raise ModelkitError(f"The optimised graph is bound to this CPU ({', '.join(sorted(bound))}); it is not kept.")
    return proto


@dataclass(frozen=True)
class Optimization:
    """``folder`` is the new model's, or None; ``reason`` says why in a sentence."""

    folder: Path | None
    reason: str
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON's types."""
        about = {"kept": str(self.folder) if self.folder else None, "reason": self.reason, "processor": describe()}
        return about | self.comparison.to_json()


def optimize(
    card: Card, images: list[LabelledImage], *, replace: bool = False, progress: Progress = silent
) -> Optimization:
    """Make ``<name>-optimized`` if it loads measurably faster, runs no slower and returns the same results.

    Raises
    ------
    ModelkitError
    """
    quantized = any(node.op_type in _QUANTIZED for node in load_graph(card.graph_path).graph.node)
    level = "basic" if quantized else "extended"
    progress(f"optimising ({level})", 0, 1)
    proto = optimized(load_whole(card.graph_path), level)
    details = {"scheme": "optimized", "level": level}
    with make_variant(Base.of(card), "optimized", proto, details, replace=replace) as variant:
        comparison = compare(variant.card, card, images, progress)
        reason = _rejection(comparison, variant.card)
        if reason:
            variant.discard()
    if reason:
        return Optimization(None, reason, comparison)
    gain = comparison.against.cost.load_ms / comparison.model.cost.load_ms
    target = load_card(variant.target)
    Model.load(target)
    return Optimization(variant.target, f"It loads {gain:.2f}x as fast and gives the same results.", comparison)


def _rejection(comparison: Comparison, card: Card) -> str | None:
    gain = comparison.against.cost.load_ms / comparison.model.cost.load_ms
    shift = float(np.max(comparison.shifts))
    if shift > _MAX_SHIFT:
        return f"Not kept: {card.name} moves a probability by {shift:.2e}."
    if comparison.latency_ratio > _MIN_GAIN:
        return f"Not kept: it runs {comparison.latency_ratio:.2f}x as long."
    if gain < _MIN_GAIN:
        return f"Not kept: it loads {gain:.2f}x as fast, which is not worth another file (from {_MIN_GAIN}x on)."
    return None
