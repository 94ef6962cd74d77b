"""The programs of examples/, run as their README says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from deployment import Deployed

    from localcloud.models import Golden

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = {
    "python": [sys.executable, "classify.py"],
    "typescript": [str(Path(sys.executable).parent / "node"), "classify.mts"],
    "shell": ["sh", "classify.sh"],
}


def run(command: list[str], image: Path, deployed: Deployed) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "LOUPE_URL": deployed.endpoint["url"],
        "LOUPE_API_KEY": deployed.endpoint["api_key"],
    }
    return subprocess.run(
        [*command, str(image)], cwd=EXAMPLES, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("language", PROGRAMS)
def test_an_example_classifies(language: str, deployed: Deployed, golden_cases: list[Golden]) -> None:
    process = run(PROGRAMS[language], golden_cases[0].path, deployed)
    assert process.returncode == 0, process.stderr
    if language == "shell":
        assert json.loads(process.stdout)["label"] == golden_cases[0].label
    else:
        answer = rf"{re.escape(str(golden_cases[0].path))}: {golden_cases[0].label} [01]\.\d{{3}}\n"
        assert re.fullmatch(answer, process.stdout)


@pytest.mark.parametrize("language", PROGRAMS)
def test_an_example_reports_the_problem(language: str, deployed: Deployed, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 this JPEG ends here")
    process = run(PROGRAMS[language], broken, deployed)
    assert process.returncode != 0
    assert "image_undecodable" in process.stdout + process.stderr
    assert "Traceback" not in process.stderr
