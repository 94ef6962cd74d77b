"""Detect models that are not classifiers by their outputs, with the evidence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelkit.inspection import Inspection, Tensor

_SUPPRESSION = ("NonMaxSuppression", "EfficientNMS_TRT", "BatchedNMS_TRT", "RoiAlign", "MaxRoiPool")
_EMBEDDING = re.compile(r"embed|feature|hidden|pooler|representation", re.IGNORECASE)
_QUANTITY = re.compile(r"(^|_)(age|price|weight|height|regress\w*|distance|angle|count|rating|mos)(_|$)", re.IGNORECASE)
# skl2onnx names the outputs of classifiers label and probabilities, of everything else variable.
_VARIABLE = re.compile(r"variable\d*")
_POSITIVE = frozenset({"Relu", "Softplus", "Elu", "LeakyRelu"})
_NORMALISED = frozenset({"LayerNormalization", "LpNormalization", "SkipLayerNormalization"})
# A logit that an export multiplies is divided by a temperature, of about this much; quantities are scaled by more.
_LARGEST_TEMPERATURE = 5.0
_NUMBERS = frozenset({"float32", "float16", "float64", "bfloat16"})


def scores_output(inspection: Inspection) -> str | None:
    """Return the one output that can hold scores: the only one, or the only one of floating-point numbers."""
    if len(inspection.outputs) == 1:
        return inspection.outputs[0].name
    numbers = [value.name for value in inspection.outputs if value.dtype in _NUMBERS]
    return numbers[0] if len(numbers) == 1 else None


def not_scores(value: Tensor) -> str | None:
    """Return why an output cannot be read as scores of any kind."""
    if value.dtype == "string":
        return f"Output {value.name!r} is text (the chosen label), not scores."
    if value.dtype.endswith("_type"):
        what = value.dtype.removesuffix("_type")
        return (
            f"Output {value.name!r} is a {what}, not a tensor: export without ZipMap (zipmap=False in skl2onnx), and a "
            "classifier with one set of labels (no MultiOutputClassifier)."
        )
    if value.dtype in {"int64", "int32", "bool"}:
        return f"Output {value.name!r} is {value.dtype} (the chosen class), not scores."
    return None


def other_task(inspection: Inspection, output: str | None) -> str | None:
    """Return the task of a model that is not an image classifier, with the evidence; None without evidence.

    Parameters
    ----------
    output
        The output to look at, None if several may hold the scores.
    """
    operator = next((name for name in _SUPPRESSION if name in inspection.operators), None)
    if operator:
        return f"an object detector: {operator} is among its operators."
    for value in inspection.outputs:
        if output in (None, value.name) and (task := _by_shape(value)):
            return task
    label = next((name for name, end in inspection.ends.items() if end.operator == "ArgMin"), None)
    if label is not None:
        return f"a clustering: output {label!r} is the index of the smallest distance (ArgMin)."
    if output is None:
        return None
    end, size = inspection.ends[output], inspection.sizes[output]
    if end.regressor:
        return f"a regression: output {output!r} holds the numbers of {end.regressor}."
    if inspection.producer.startswith("skl2onnx") and len(inspection.outputs) == 1 and _VARIABLE.fullmatch(output):
        return (
            f"a regression (or a transformer): its only output is named {output!r}, as scikit-learn's exports of them. "
            "Classifiers have a label and probabilities."
        )
    if end.operator in _NORMALISED or _EMBEDDING.search(output):
        return f"an encoder: output {output!r} holds an embedding ({size or 'some'} numbers, ends in {end.operator})."
    if size == 1 and end.kind != "probability":
        if end.factor is not None and abs(end.factor) > _LARGEST_TEMPERATURE:
            return f"a regression: output {output!r} is one number that is multiplied by {end.factor:g} at the end."
        if _QUANTITY.search(output):
            return f"a regression: its only output is one number named {output!r}."
        if end.operator in _POSITIVE:
            return f"a regression: output {output!r} is one number after {end.operator}, never a logit."
    return None


def _by_shape(value: Tensor) -> str | None:
    """Task by the axes after the batch: a classifier has one that is longer than 1."""
    sides = [side for side in value.shape[1:] if side != 1]
    if value.dtype not in _NUMBERS or len(sides) < 2 or not any(isinstance(side, int) for side in sides):
        return None
    shape = f"output {value.name!r} is [{', '.join(map(str, value.shape))}]"
    if len(value.shape) == 3:
        if _EMBEDDING.search(value.name):
            return f"an encoder: {shape}, an embedding of each token."
        return f"an object detector: {shape}, a row for each box."
    return f"a segmentation (or another model of pixels): {shape}, a value for each place."
