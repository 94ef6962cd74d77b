"""The prediction cache: function time of a hit beside a miss, what a miss costs, and when a shared level would pay.

All of it is the handler's own time for an HTTP event with the image as its body, hits, misses and a handler without a
cache in turn. An image that misses has other bytes in each round: a counter behind the end of the JPEG.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.subjects import CONTEXT, http_event, ours
from benchmarks.timing import PartResult, Row, Section, alternate, median, ratio
from benchmarks.workload import COURSE_INPUT, MEGAPIXELS, photo
from tools import prices

GROUP = "Prediction cache"
# A hit is held to this where decoding or the model takes at least so long.
TARGET, TARGET_MS = 5.0, 50.0
CACHE_MIB = 64
MEMORY_MIB = 1769
LARGEST_BODY_BYTES = 6 * 1024 * 1024
# Assumed for a read and for a write: single-digit milliseconds (developer guide, 'What is Amazon DynamoDB?').
# Both delay the response, as an execution environment is frozen after it.
DYNAMODB_MS = 5.0
# Function times that are saved, in ms, for which the report shows the break-even.
SAVED_MS = (10, 25, 50, 100, 200, 400)


class Subject(NamedTuple):
    """A model folder and an image; ``held`` subjects have a target."""

    name: str
    model: Path
    image: bytes
    held: bool


def run(folder: Path, default: Path, rounds: int) -> PartResult:
    """Measure with the shipped model, with one of ResNet-50's size and with one that decodes large JPEGs in full."""
    small, large = (photo(*MEGAPIXELS[size]) for size in (1, 12))
    subjects = [
        Subject("hair-type, 1 MP", default, small, held=False),
        Subject("hair-type, 12 MP", default, large, held=False),
        Subject("decoded in full, 12 MP", without_draft(folder, default), large, held=True),
        Subject("model of ResNet-50's size, 1 MP", large_model(folder), small, held=True),
    ]
    rows, saved = list[Row](), dict[str, float]()
    for subject in subjects:
        with Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull):
            samples = alternate(_calls(subject), rounds)
        hit, miss, off = (samples[name] for name in ("hit", "miss", "off"))
        saved[subject.name] = median(miss) - median(hit)
        value, interval = ratio(miss, hit)
        detail = f"{median(miss):.2f} ms / {median(hit):.2f} ms"
        target = TARGET if subject.held and median(off) >= TARGET_MS else None
        sense: Any = "least" if target else "none"
        rows.append(Row(GROUP, f"miss against hit, {subject.name}", value, target, sense, detail, interval))
        value, interval = ratio(miss, off)
        detail = f"{median(miss):.2f} ms / {median(off):.2f} ms"
        rows.append(Row(GROUP, f"miss against no cache, {subject.name}", value, None, "none", detail, interval))
    body = bytes(LARGEST_BODY_BYTES)
    hashing = median(alternate({"sha256": lambda: hashlib.sha256(body).digest()}, rounds)["sha256"])
    rows.append(Row(GROUP, "SHA-256 of the largest body", hashing, None, "none", "6 MiB", unit="ms"))
    return PartResult(rows, [Section("A shared cache in DynamoDB", shared_lines(saved))])


def _calls(subject: Subject) -> dict[str, Callable[[], object]]:
    cached, off = ours(subject.model, LOUPE_CACHE_MIB=str(CACHE_MIB)), ours(subject.model)
    counter = itertools.count()

    def call(handler: Any, expected: str, *, new: bool) -> None:
        # The event is made anew in each case, so that it costs all alike.
        data = subject.image + (next(counter) if new else 0).to_bytes(8, "big")
        response = handler(http_event(data), CONTEXT)
        if response["headers"].get("X-Cache") != expected:
            raise RuntimeError(f"{subject.name}: expected {expected}, got {response}")

    next(counter)
    call(cached, "miss", new=False)
    return {
        "hit": partial(call, cached, "hit", new=False),
        "miss": partial(call, cached, "miss", new=True),
        "off": partial(call, off, "off", new=True),
    }


def break_even(saved_ms: float, memory_mib: int = MEMORY_MIB, item_bytes: int = 512) -> float:
    """Return the hit rate from which a shared level in DynamoDB costs less than it saves; above 1: never.

    Each request reads once (eventually consistent) and waits for it; each miss writes once and waits for that. A hit
    saves ``saved_ms`` of function time. With R, W and S in dollars: h S = R + (1 - h) W, so h = (R + W) / (S + W).

    Parameters
    ----------
    saved_ms
        Function time of a miss less that of a hit, ms.
    item_bytes
        Size of an item, at most 4096: 1 KB a write unit.
    """
    second = prices.gb(memory_mib) * prices.LAMBDA_DURATION["x86_64"].first
    waiting = DYNAMODB_MS / 1e3 * second
    read = prices.DYNAMODB_READS.first / 2 + waiting
    write = prices.DYNAMODB_WRITES.first * -(-item_bytes // 1024) + waiting
    return (read + write) / (saved_ms / 1e3 * second + write)


def shared_lines(saved: dict[str, float]) -> list[str]:
    """Return the break-even of a shared level for what was measured and for round figures, as Markdown."""
    lines = ["| function time that a hit saves | break-even hit rate |", "|---|---|"]
    for name, ms in [*saved.items(), *((f"{ms} ms", float(ms)) for ms in SAVED_MS)]:
        rate = break_even(ms)
        shown = f"{rate:.0%}" if rate <= 1 else "never"
        lines.append(f"| {name if name.endswith(' ms') else f'{name}: {ms:.1f} ms'} | {shown} |")
    return lines


def without_draft(folder: Path, model: Path) -> Path:
    """Return a copy of a model folder whose card decodes JPEGs in full."""
    target = folder / "cache-full-decode"
    target.mkdir(parents=True, exist_ok=True)
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    for file in card["files"]:
        (target / file["path"]).write_bytes((model / file["path"]).read_bytes())
    card["input"].pop("jpeg_draft", None)
    (target / "card.json").write_text(json.dumps({**card, "name": target.name, "golden": []}), encoding="utf-8")
    return target


def large_model(folder: Path) -> Path:
    """Write a model folder with about ResNet-50's multiplications (4.1 billion for an image) and return it.

    Twelve convolutions 3x3 of 64 channels on 100 x 100 pixels, random weights: latency does not depend on them.
    """
    target = folder / "cache-large-model"
    target.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    nodes = [helper.make_node("MaxPool", ["input"], ["x0"], kernel_shape=[2, 2], strides=[2, 2])]
    weights = {}
    for index in range(12):
        weights[f"w{index}"] = random.normal(0, 0.05, (64, 64 if index else 3, 3, 3)).astype(np.float32)
        nodes += [
            helper.make_node("Conv", [f"x{index}", f"w{index}"], [f"c{index}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"c{index}"], [f"x{index + 1}"]),
        ]
    weights["w"] = random.normal(0, 0.1, (64, 1)).astype(np.float32)
    nodes += [
        helper.make_node("GlobalAveragePool", ["x12"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 200, 200])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    path = target / "model.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    data = path.read_bytes()
    card = {
        "name": target.name,
        "version": "1.0.0",
        "graph": path.name,
        "files": [{"path": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}],
        "input": COURSE_INPUT,
        "output": {"name": "output", "kind": "logit", "labels": ["curly", "straight"]},
    }
    (target / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return target
