"""The cost of a request: limits on counts that are free of noise, and one ratio with a wide margin.

`make bench` measures; these tests only fail for a clear regression.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from events import Context, base64_of, rest
from fakes import make_app
from images import RED, jpeg, noise, solid
from loupe.classifier import Classifier
from PIL import Image, JpegImagePlugin

ROOT = Path(__file__).resolve().parents[2]
HAIR_TYPE = ROOT / "models" / "hair-type"
COLD = """
import json, sys
floor = sys.argv[1] == "floor"
if floor:
    import base64, io, numpy, onnxruntime, PIL.Image, PIL.JpegImagePlugin
else:
    sys.path.insert(0, sys.argv[1])
    import handler
    from types import SimpleNamespace
    answer = handler.handler({"image": sys.argv[2]}, SimpleNamespace(aws_request_id="r"))
    assert answer["label"] == "red", answer
print(json.dumps(sorted(sys.modules)))
"""
# Standard library modules that the serving path may load beside those of numpy, Pillow and ONNX Runtime.
ALLOWED = {"fnmatch", "glob", "grp", "ipaddress", "ntpath", "pathlib", "pwd", "urllib", "zipimport"}


def _modules(*arguments: str, **variables: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", COLD, *arguments], env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def cold(tiny_directory: Path) -> set[str]:
    variables = {"LOUPE_MODELS_DIR": str(tiny_directory.parent), "LOUPE_MODEL": tiny_directory.name}
    return _modules(str(ROOT / "function"), base64_of(jpeg(solid(RED))), **variables)


def test_numpy_is_imported_before_the_projects_own_modules() -> None:
    """Imported deeper in the call stack, it takes 30 ms longer under the runtime client (`--only cold`)."""
    statements = ast.parse((ROOT / "function" / "handler.py").read_text(encoding="utf-8")).body
    names = [
        statement.module if isinstance(statement, ast.ImportFrom) else statement.names[0].name
        for statement in statements
        if isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    assert names.index("numpy") < min(index for index, name in enumerate(names) if str(name).startswith("loupe"))


def test_inline_image_loads_no_module_of_other_requests(cold: set[str]) -> None:
    assert {"loupe.http.app", "loupe.service"} <= cold
    unwanted = {"loupe.http.form", "loupe.http.diagnosis", "loupe.sources.url_fetcher", "loupe.sources.connection",
                "loupe.sources.addresses", "loupe.sources.s3_reader", "loupe.sources.uploads",
                "loupe.cache", "loupe.models", "loupe.experiment", "loupe.experiment_settings", "loupe.weights",
                "loupe.http.assignment", "loupe.http.identity", "loupe.log",
                "loupe.batch", "loupe.http.batch_response", "loupe.http.documents", "loupe.http.webpage", "loupe.icc",
                "python_multipart", "PIL.PngImagePlugin", "PIL.WebPImagePlugin", "PIL.ImageCms"}  # fmt: skip
    assert cold & unwanted == set()


def test_cold_start_imports_little_beside_the_three_libraries(cold: set[str]) -> None:
    """Each module is read from a lazily loaded image, and its top level runs while a client waits."""
    more = {name.partition(".")[0] for name in cold - _modules("floor")} - {"loupe", "handler", "pybase64"}
    assert more <= ALLOWED


def test_a_warm_request_takes_few_calls(classifier: Classifier, capsys: pytest.CaptureFixture[str]) -> None:
    """Calls of Python and C functions, an instruction count without another tool. It was 712 when this was set."""
    app, event = make_app(classifier), rest(body=jpeg(noise(640, 480)))
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    app.http(event, Context())
    sys.setprofile(count)
    try:
        answer = app.http(event, Context())
    finally:
        sys.setprofile(None)
    capsys.readouterr()
    assert answer["statusCode"] == 200
    assert calls < 900


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sixty-fourth of 12 million pixels, still twice the model's 112 x 112 each way: that is most of the speed."""
    app = make_app(Classifier.load(HAIR_TYPE))
    decoded: list[tuple[int, int]] = []
    load = JpegImagePlugin.JpegImageFile.load_prepare

    def spy(image: JpegImagePlugin.JpegImageFile) -> object:
        decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load_prepare", spy)
    assert app.http(rest(body=jpeg(solid(RED, (4000, 3000)))), Context())["statusCode"] == 200
    capsys.readouterr()
    assert decoded == [(500, 375)]


def test_handler_adds_little_to_decoding_resizing_and_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The fastest of many alternating runs, by processor time: normally 1.1, so 1.6 is a regression and not noise."""
    classifier = Classifier.load(HAIR_TYPE)
    app, data = make_app(classifier), jpeg(noise(1155, 866))
    event, spec = rest(body=data), classifier.card.input
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(classifier.card.graph_path), options)
    mean, std = (np.asarray(values, np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))

    def handler() -> None:
        assert app.http(event, Context())["statusCode"] == 200

    def floor() -> None:
        from io import BytesIO

        image = Image.open(BytesIO(data), formats=("JPEG",))
        image.draft("RGB", tuple(round(side * spec.jpeg_draft) for side in spec.resized(*image.size)))
        pixels = np.asarray(image.convert("RGB").resize((spec.width, spec.height), Image.Resampling.BILINEAR))
        batch = (pixels.transpose(2, 0, 1) * np.float32(spec.scale) - mean) / std
        session.run(None, {spec.name: batch[None].astype(np.float32)})

    best = {handler: float("inf"), floor: float("inf")}
    for _ in range(40):
        for call, least in best.items():
            started = time.thread_time()
            call()
            best[call] = min(least, time.thread_time() - started)
        capsys.readouterr()
    assert best[handler] < 1.6 * best[floor]
