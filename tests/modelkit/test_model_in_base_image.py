"""A base image that already holds a model in its working directory: the card is laid beside it, nothing is copied.

The image's layout is rebuilt in a folder and read by the serving core. The Dockerfile is in
`docs/bring-your-own-model.md`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kit import PROJECT, run, shared
from loupe.card import load_card

FUNCTION = PROJECT / "function"
PROGRAM = """
import handler
case = handler.APP
print(type(case).__name__, handler.SETTINGS.model)
"""


def test_the_handler_serves_a_model_that_lies_in_the_working_directory(tmp_path: Path) -> None:
    graph = shared("course/hair_classifier_hw8.onnx")
    options = ["--labels", "curly,straight", "--preprocess", "imagenet", "--resize", "bilinear"]
    assert run("add", graph, "--name", "in-base", *options, "--models-dir", tmp_path / "models").exit_code == 0
    # The base image: a task root with the graph and its data, under the names that they were published with.
    task = tmp_path / "task"
    task.mkdir()
    for file in load_card(tmp_path / "models" / "in-base").files:
        (task / file.path).hardlink_to(tmp_path / "models" / "in-base" / file.path)
    # What the derived image adds: code, the card, and the model's folder as a link to the working directory.
    for part in ("handler.py", "loupe"):
        (task / part).symlink_to(FUNCTION / part)
    (task / "card.json").write_bytes((tmp_path / "models" / "in-base" / "card.json").read_bytes())
    (task / "models").mkdir()
    (task / "models" / "in-base").symlink_to(task)
    environment = {"PATH": os.environ["PATH"], "LOUPE_MODEL": "in-base", "LOUPE_MODELS_DIR": str(task / "models")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=task, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["App", "in-base"]
