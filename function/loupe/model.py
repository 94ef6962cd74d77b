"""The ONNX Runtime session: created, compared with the card and warmed up once, then only run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from loupe.card import CardError
from loupe.errors import ModelFailed
from loupe.model_files import check_files

if TYPE_CHECKING:
    from loupe.card import Card

Array = np.ndarray[Any, np.dtype[Any]]
_ORT_TYPES = {
    "float64": "tensor(double)",
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "uint8": "tensor(uint8)",
    "int32": "tensor(int32)",
    "int64": "tensor(int64)",
}
# ONNX Runtime has one exception class for each status and no base class for them.
_RUNTIME_ERRORS = tuple(
    kind
    for kind in vars(ort.capi.onnxruntime_pybind11_state).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
)
# An output without a batch axis cannot be reshaped to one row for each image.
RUN_ERRORS: tuple[type[Exception], ...] = (*_RUNTIME_ERRORS, ValueError)


def session_options(threads: int) -> ort.SessionOptions:
    """Return the options for a Lambda guest: ``threads`` workers that do not spin while waiting.

    A guest has two vCPUs below 3008 MiB but gets memory / 1769 MiB of one, so the count is set explicitly.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class Model:
    """A loaded and warmed-up model."""

    def __init__(self, card: Card, session: ort.InferenceSession) -> None:
        self.card = card
        self._session = session
        self._input = card.input.name
        self._outputs = [card.output.name]
        shape = session.get_inputs()[0].shape
        batch = shape[0] if shape else None
        self.static_batch = batch if isinstance(batch, int) else None

    @classmethod
    def load(cls, card: Card, threads: int = 1) -> Model:
        """Create the session, compare it with the card, and run it once.

        Raises
        ------
        loupe.card.CardError
            If a file is missing or differs from the card in location, type or size, the graph cannot be loaded, or the
            card disagrees with it.
        """
        check_files(card, content=False)
        try:
            session = ort.InferenceSession(
                str(card.graph_path), session_options(threads), providers=["CPUExecutionProvider"]
            )
        except _RUNTIME_ERRORS as error:
            raise CardError(f"{card.name}: {card.graph} cannot be loaded by ONNX Runtime: {error}") from error
        check_graph(card, session)
        model = cls(card, session)
        model.warm()
        return model

    def warm(self) -> None:
        """Run the model once on a synthetic image, so that the first request does not pay for lazy allocations.

        The values are not checked: a graph that standardizes each image, for example, may return NaN for an image that
        no request sends. Golden images check them (``modelkit verify``).

        Raises
        ------
        loupe.card.CardError
            If the graph cannot be run, or returns a different number of values than the card states.
        """
        shape, dtype = self.card.input.shape, np.dtype(self.card.input.dtype)
        # A ramp, because equal pixels have a standard deviation of 0.
        pixels = np.arange(np.prod(shape)) % 256
        image = (pixels if np.issubdtype(dtype, np.integer) else pixels / 255).astype(dtype).reshape(shape)
        try:
            (row,) = self._rows(image[None])
        except RUN_ERRORS as error:
            raise CardError(f"{self.card.name}: {self.card.graph} loads, but cannot be run: {error}") from error
        if len(row) != self.card.output.size:
            raise CardError(
                f"{self.card.name}: the card says kind {self.card.output.kind!r} with {len(self.card.output.labels)} "
                f"labels, which needs {self.card.output.size} number(s) for an image, but {self.card.graph} gives "
                f"{len(row)}."
            )

    def run(self, batch: Array) -> Array:
        """Run ``(N, ...)`` inputs and return ``(N, outputs)`` float32, for any batch size of the graph.

        Raises
        ------
        loupe.errors.ModelFailed
            If an output is not finite.
        """
        rows = self._rows(batch)
        if not np.isfinite(rows).all():
            raise ModelFailed("The model's output for this image is not a number.")
        return rows

    def run_together(self, batch: Array) -> Array:
        """Run ``(N, ...)`` inputs in as few runs as the graph allows, regardless of ``independent`` in the card.

        For ``modelkit verify``, which compares it with `run` of single images.
        """
        return self._run_in_batches(self.static_batch or len(batch), batch)

    def _rows(self, batch: Array) -> Array:
        return self._run_in_batches((self.static_batch or len(batch)) if self.card.output.independent else 1, batch)

    def _run_in_batches(self, count: int, batch: Array) -> Array:
        parts = [self._run_padded(batch[i : i + count]) for i in range(0, len(batch), count)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, batch: Array) -> Array:
        output: Array = self._session.run(self._outputs, {self._input: batch})[0]
        return np.asarray(output, np.float32).reshape(len(batch), -1)

    def _run_padded(self, part: Array) -> Array:
        """Run at most one batch of the graph's size, padded with copies of its first image.

        If outputs depend on the whole run, copies do not change them: the largest and smallest activation stay the
        same.
        """
        missing = 0 if self.static_batch is None else self.static_batch - len(part)
        if not missing:
            return self._run(part)
        return self._run(np.concatenate([part, np.repeat(part[:1], missing, axis=0)]))[: len(part)]


def check_graph(card: Card, session: ort.InferenceSession) -> None:
    """Compare the card with the graph's declared input and output.

    Raises
    ------
    loupe.card.CardError
        With a sentence that names both sides of the disagreement.
    """
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    where = f"{card.name}: the card"
    node = inputs.get(card.input.name)
    if node is None:
        raise CardError(f"{where} says input {card.input.name!r}, but {card.graph} has {_listed(inputs)}.")
    if len(inputs) > 1:
        raise CardError(f"{where} can feed one input, but {card.graph} has {_listed(inputs)}.")
    if node.type != _ORT_TYPES[card.input.dtype]:
        raise CardError(f"{where} says dtype {card.input.dtype}, but input {node.name!r} is {node.type}.")
    expected = card.input.shape
    declared = tuple(node.shape[1:])
    # A graph may declare no shape: `Model.warm` then compares the card with its output.
    fits = not node.shape or (
        len(declared) == len(expected)
        and all(not isinstance(side, int) or side == want for side, want in zip(declared, expected, strict=True))
    )
    if not fits:
        raise CardError(
            f"{where} says {card.input.layout}{', flattened,' if card.input.flatten else ''} {('batch', *expected)}, "
            f"but input {node.name!r} is {list(node.shape)}: check width, height, layout, flatten and color."
        )
    result = outputs.get(card.output.name)
    if result is None:
        raise CardError(f"{where} says output {card.output.name!r}, but {card.graph} has {_listed(outputs)}.")
    sides = [side for side in result.shape[1:] if isinstance(side, int)]
    size = int(np.prod(sides)) if len(sides) == len(result.shape) - 1 else None
    if size is not None and size != card.output.size:
        raise CardError(
            f"{where} says kind {card.output.kind!r} with {len(card.output.labels)} labels, which needs "
            f"{card.output.size} number(s) for an image, but output {result.name!r} gives {size}."
        )


def _listed(nodes: dict[str, Any]) -> str:
    return ", ".join(f"{name!r}" for name in nodes)
