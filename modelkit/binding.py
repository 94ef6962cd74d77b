"""Further inputs of a graph, bound to constants at `add`: ``--bind NAME=VALUE``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from modelkit.errors import ModelkitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

# A larger constant is data, not a setting of the graph.
_MAX_VALUES = 1 << 20
_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})


def bind_inputs(graph: onnx.GraphProto, bindings: Mapping[str, str]) -> list[str]:
    """Replace inputs by constants in place; return notes of what was bound.

    ``bindings`` has one number, or as many as the input holds with commas between, for each name. Open sides become 1,
    which broadcasts over a batch; `modelkit verify` compares batches with single images.

    Raises
    ------
    ModelkitError
        If a name is not an input, or a value does not fit its type or shape.
    """
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in weights}
    notes = []
    for name, text in bindings.items():
        if name not in inputs:
            raise ModelkitError(f"--bind {name[:80]} is none of the graph's inputs ({', '.join(inputs)[:400]}).")
        array = _constant(inputs[name], text)
        graph.input.remove(inputs[name])
        graph.initializer.append(numpy_helper.from_array(array, name))
        notes.append(f"input {name!r} is bound to {text}, shape {list(array.shape)}")
    return notes


def _constant(value: onnx.ValueInfoProto, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    name, kind = value.name, value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type == TensorProto.STRING:
        raise ModelkitError(f"--bind {name}: only inputs of numbers can be bound.")
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    try:
        numbers = np.array([_number(part.strip(), dtype) for part in text.split(",")])
        array = numbers.astype(dtype)
    except (ValueError, OverflowError):
        raise ModelkitError(
            f"--bind {name}={text[:80]}: the input is {dtype}; give a number, or several with commas between."
        ) from None
    if not np.array_equal(array.astype(numbers.dtype), numbers) and np.issubdtype(dtype, np.integer):
        raise ModelkitError(f"--bind {name}={text[:80]} does not fit the input's type, {dtype}.")
    shape = tuple(side.dim_value or 1 for side in kind.shape.dim)
    count = int(np.prod(shape, dtype=object))
    if count > _MAX_VALUES:
        raise ModelkitError(f"--bind {name}: the input holds {count:,} values, which is not a constant.")
    if len(array) not in (1, count):
        raise ModelkitError(
            f"--bind {name}: {len(array)} values were given, and its shape {list(shape)} holds {count}."
        )
    return np.broadcast_to(array, (count,)).reshape(shape) if len(array) == 1 else array.reshape(shape)


def _number(text: str, dtype: np.dtype[np.generic]) -> float | int | bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    return int(text) if np.issubdtype(dtype, np.integer) else float(text)
