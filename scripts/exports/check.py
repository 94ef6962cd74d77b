"""Add an export to a folder of models, and compare the served probabilities with the framework's own.

    .venv/bin/python scripts/exports/check.py FOLDER...

in the project's environment, for the folders that the ``from_*.py`` beside this made. Exit code 1 if a model is not
added, a check fails, or a probability differs by more than 0.005.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
sys.path[:0] = [str(PROJECT / "function")]

from loupe.classifier import Classifier  # noqa: E402
from loupe.image import Limits  # noqa: E402

TOLERANCE = 0.005


def added(place: Path, export: dict[str, Any], models: Path) -> subprocess.CompletedProcess[str]:
    golden = []
    for name, row in export["probabilities"].items():
        best = max(range(len(row)), key=row.__getitem__)
        golden += ["--golden", f"{name}={export['labels'][best]}:{row[best]:.5f}"]
    command = [sys.executable, "-m", "modelkit", "add", export["graph"], "--name", place.name, *export["options"],
               *golden, "--models-dir", str(models)]  # fmt: skip
    environment = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'function'}", "PATH": "/usr/bin:/bin", "COLUMNS": "120"}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


def furthest(place: Path, export: dict[str, Any], folder: Path) -> float:
    """Largest difference of a probability, over all images and labels."""
    classifier = Classifier.load(folder, Limits())
    differences = []
    for name, row in export["probabilities"].items():
        scores = dict(classifier.classify((place / name).read_bytes()).scores)
        differences += [abs(scores[label] - value) for label, value in zip(export["labels"], row, strict=True)]
    return max(differences)


def main() -> int:
    failed = False
    for place in map(Path, sys.argv[1:]):
        export = json.loads((place / "export.json").read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as models:
            outcome = added(place, export, Path(models))
            if outcome.returncode:
                failed = True
                print(f"{place.name}: exit code {outcome.returncode}\n{outcome.stdout}{outcome.stderr}")
                continue
            difference = furthest(place, export, Path(models) / place.name)
        failed |= difference > TOLERANCE
        spread = max(map(max, export["probabilities"].values())) - min(map(min, export["probabilities"].values()))
        used = ", ".join(f"{name} {version}" for name, version in export["versions"].items())
        print(f"{place.name}: within {difference:.1e} (probabilities spread over {spread:.2f}); {used}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
