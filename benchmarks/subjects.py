"""The compared handlers, loaded into this process or staged for the runtime emulator."""

from __future__ import annotations

import base64
import compileall
import contextlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
from loupe.card import Card, load_card
from PIL import Image

from localcloud.stage import stage

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
Handler = Callable[[Any, Any], Any]
CONTEXT = SimpleNamespace(aws_request_id="benchmark", get_remaining_time_in_millis=lambda: 15_000)


def http_event(data: bytes) -> dict[str, Any]:
    """Return API Gateway's event for a posted JPEG."""
    return {
        "httpMethod": "POST",
        "path": "/v1/classify",
        "headers": {"Content-Type": "image/jpeg"},
        "queryStringParameters": None,
        "requestContext": {"requestId": "benchmark", "stage": "live"},
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
    }


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Add these environment variables within the context."""
    previous = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(previous)


def _load(path: Path, name: str, variables: Mapping[str, str]) -> Handler:
    with environment(variables):
        specification = importlib.util.spec_from_file_location(name, path)
        if specification is None or specification.loader is None:
            raise ImportError(path)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


def ours(model: Path, **settings: str) -> Handler:
    """Return Loupe's handler with the model of this folder; keywords are further ``LOUPE_*`` variables."""
    variables = {"LOUPE_MODELS_DIR": str(model.parent), "LOUPE_MODEL": model.name, **settings}
    return _load(ROOT / "function" / "handler.py", f"ours_{model.name}", variables)


def course(model: Path) -> Handler:
    """Return peer (a) with the graph of this folder."""
    card = load_card(model)
    return _load(PEERS / "course_handler.py", f"course_{model.name}", {"PEER_MODEL": str(card.graph_path)})


def floor(model: Path) -> Callable[[bytes], float]:
    """Return the minimum work: libjpeg-turbo's scaled decode, the resize and normalisation, and the run."""
    card: Card = load_card(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(card.graph_path), options, providers=["CPUExecutionProvider"])
    feeds, spec = card.input.name, card.input
    # Independent of Loupe's code, so that regressions there are visible.
    resample = Image.Resampling[spec.resize.filter.upper()]
    std = np.asarray(spec.std, np.float32).reshape(-1, 1, 1)
    factor, offset = np.float32(spec.scale) / std, -np.asarray(spec.mean, np.float32).reshape(-1, 1, 1) / std
    batch = np.empty((1, 3, spec.height, spec.width), np.float32)

    def run(data: bytes) -> float:
        image = Image.open(BytesIO(data), formats=("JPEG",))
        width, height = spec.resized(*image.size)
        if spec.jpeg_draft:
            image.draft("RGB", (round(width * spec.jpeg_draft), round(height * spec.jpeg_draft)))
        pixels = np.asarray(image.convert("RGB").resize((width, height), resample)).transpose(2, 0, 1)
        np.multiply(pixels, factor, out=batch[0])
        np.add(batch[0], offset, out=batch[0])
        return float(session.run(None, {feeds: batch})[0][0][0])

    run(_one_pixel())
    return run


def _one_pixel() -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def our_root(folder: Path) -> Path:
    """Stage the content of the image: handler, core and the shipped model, with compiled bytecode."""
    return stage(ROOT, ["hair-type"], folder).folder


def peer_root(folder: Path) -> Path:
    """Stage peer (a)'s handler, with compiled bytecode."""
    target = folder / "course-handler"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("course_handler.py", "preprocess.py"):
        shutil.copy(PEERS / name, target / name)
    compileall.compile_dir(target, quiet=1)
    return target


def floor_root(folder: Path) -> Path:
    """Stage a handler that imports the three libraries, creates the session, runs it once, and responds."""
    target = folder / "floor"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(PEERS / "floor_handler.py", target / "floor_handler.py")
    compileall.compile_dir(target, quiet=1)
    return target


def lambda_variables(root: Path, memory_mib: int = 1769, **extra: str) -> dict[str, str]:
    """Return the environment variables of a function's process, as Lambda sets them."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "LAMBDA_TASK_ROOT": str(root),
        "PYTHONPATH": str(root),
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mib),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
        "AWS_REGION": "us-east-1",
        **extra,
    }
