"""Memory of a batch: pixels in flight, and tensors that wait for the model."""

from __future__ import annotations

import threading
import time
import tracemalloc

import numpy as np
import pytest
from batch_calls import BLUE_ITEM, RED_ITEM, send
from events import Context
from fakes import make_app, problem_of
from hypothesis import given
from hypothesis import strategies as st
from images import exif, gif, jpeg, png, solid, webp
from loupe.batch import MODEL_BATCH, TENSOR_BYTES, WORKERS, PixelBudget, max_held_tensors, pixels_of
from loupe.card import InputSpec
from loupe.classifier import Classifier
from loupe.errors import DeadlineExceeded
from tinymodel import graph, write_model


def test_pixels_in_flight_are_bounded(tiny_directory) -> None:
    classifier = Classifier.load(tiny_directory)
    pixels = 64 * 48
    classifier.limits = type(classifier.limits)(max_pixels=2 * pixels)
    prepare, lock, inside, most = classifier.prepare, threading.Lock(), [0], [0]

    def watched(data, stages):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.02)
        try:
            return prepare(data, stages)
        finally:
            with lock:
                inside[0] -= 1

    classifier.prepare = watched  # type: ignore[method-assign]
    assert send(make_app(classifier), [RED_ITEM] * 12) == ["red"] * 12
    assert most[0] == 2


def test_pixel_budget_waits_until_the_deadline() -> None:
    budget = PixelBudget(10)
    soon = time.monotonic() + 0.05
    with budget.hold(8, soon):
        with budget.hold(2, soon):
            pass

        def hold() -> None:
            with budget.hold(3, soon):
                pass

        assert isinstance(problem_of(hold), DeadlineExceeded)
    with budget.hold(1000, soon):
        pass


@pytest.mark.parametrize(
    "data",
    [jpeg(solid(size=(70, 30))), jpeg(solid(size=(70, 30)), progressive=True, exif=exif(6)), png(solid(size=(70, 30))),
     webp(solid(size=(70, 30))), webp(solid(size=(70, 30)), lossless=False), gif(solid(size=(70, 30)))],
)  # fmt: skip
def test_pixels_are_read_from_the_header(data) -> None:
    assert pixels_of(data, 10**9) == 2100
    assert pixels_of(data, 2000) == 2000


def test_pixels_of_a_file_without_a_size() -> None:
    assert pixels_of(b"x", 99) == 0
    assert pixels_of(jpeg()[:30], 99) == 99
    assert pixels_of(b"\xff\xd8\xff" + b"\xff" * 40, 99) == 99


@given(st.binary(max_size=60))
def test_pixels_of_anything(tail) -> None:
    for head in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF0000WEBP", b"GIF89a", jpeg()[:150]):
        assert 0 <= pixels_of(head + tail, 99) <= 99


def large_classifier(directory, side=640):
    return Classifier.load(
        write_model(directory, graph(("batch", 3, side, side)), input={"width": side, "height": side})
    )


def test_tensors_of_a_batch_are_bounded(tmp_path) -> None:
    """100 images of 640 x 640 are 469 MiB as tensors, which do not accumulate before a slow model."""
    classifier = large_classifier(tmp_path / "large")
    tensor_bytes = 3 * 640 * 640 * 4
    sizes, run = [], classifier.model.run
    classifier.model.run = lambda batch: sizes.append(len(batch)) or run(batch)  # type: ignore[method-assign]
    app = make_app(classifier, max_batch=100)
    send(app, [RED_ITEM])
    tracemalloc.start()
    try:
        assert send(app, [RED_ITEM, BLUE_ITEM] * 50, context=Context(remaining_ms=120_000)) == ["red", "blue"] * 50
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 100 * tensor_bytes > 6 * TENSOR_BYTES
    # Beside the tensors: the image that each worker resizes and scales.
    assert peak < TENSOR_BYTES + WORKERS * 2 * tensor_bytes
    assert max(sizes) == max_held_tensors(classifier.card.input)


def test_items_begin_only_while_their_tensors_may_be_held(tmp_path) -> None:
    """Items whose tensors are ready count as held, as well as those that are still decoded."""
    classifier = large_classifier(tmp_path / "large")
    most, lock = [0, 0], threading.Lock()
    prepare, run = classifier.prepare, classifier.model.run

    def prepared(*arguments):
        with lock:
            most[0] += 1
            most[1] = max(most)
        return prepare(*arguments)

    def ran(batch):
        outputs = run(batch)
        with lock:
            most[0] -= len(batch)
        return outputs

    classifier.prepare, classifier.model.run = prepared, ran  # type: ignore[method-assign]
    app = make_app(classifier, max_batch=100)
    assert len(send(app, [RED_ITEM] * 100, context=Context(remaining_ms=120_000))) == 100
    assert most[0] == 0
    assert 1 < most[1] <= max_held_tensors(classifier.card.input)


@given(st.integers(1, 4096), st.integers(1, 4096), st.sampled_from(["float32", "float16", "uint8"]))
def test_held_tensors_and_their_copy_fit_the_constant(width, height, dtype) -> None:
    spec = InputSpec("input", width, height, dtype=dtype)
    size = int(np.prod(spec.shape)) * np.dtype(dtype).itemsize
    count = max_held_tensors(spec)
    assert 1 <= count <= 2 * MODEL_BATCH
    assert count == 1 or 2 * count * size <= TENSOR_BYTES
    assert count == 2 * MODEL_BATCH or 2 * (count + 1) * size > TENSOR_BYTES
