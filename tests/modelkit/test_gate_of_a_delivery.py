"""The delivery's gate with modelkit itself and the shipped model; `unit/test_delivery_gate.py` has the gate's rules."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from delivery_fakes import git

from tools.delivery import gate as gates
from tools.delivery.errors import DeliveryError


@pytest.mark.parametrize(("version", "passes"), [(None, True), ("9.0.0", True), ("9.0.1", False)])
def test_the_real_gate_accepts_an_equal_model_and_rejects_swapped_labels(
    tmp_path: Path, version: str | None, passes: bool
) -> None:
    """modelkit itself, for another encoding and a retrained model: the arguments of the gate are ones that it takes."""
    source = Path(__file__).parents[2] / "models"
    models = tmp_path / "models"
    shutil.copytree(source / "hair-type", models / "hair-type", ignore=shutil.ignore_patterns("*.py", "*.npz"))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-f", ".")
    git(tmp_path, "commit", "--quiet", "-m", "model")
    base = git(tmp_path, "rev-parse", "HEAD")
    card = json.loads((models / "hair-type" / "card.json").read_bytes())
    card["version"] = version or card["version"]
    card["output"]["temperature"] *= 1.001
    if not passes:
        card["output"]["labels"].reverse()
    (models / "hair-type" / "card.json").write_text(json.dumps(card))
    calls: list[list[str]] = []

    def run(arguments: Any) -> int:
        calls.append(list(arguments))
        return gates.modelkit(arguments) if arguments[0] == "gate" else 0

    expectation = contextlib.nullcontext() if passes else pytest.raises(DeliveryError, match="not as good")
    with expectation:
        gates.gate(["hair-type"], base, str, project=tmp_path, run=run)
    assert [call[0] for call in calls] == ["verify", "gate"]
    assert ("--successor" in calls[-1]) is (version is not None)
