"""The delivery's gate: changed models are compared with the delivered ones, unchanged ones are only verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from delivery_fakes import git

from tools.delivery import gate as gates
from tools.delivery.errors import DeliveryError


class Project:
    """A repository with one model, its commits, and what modelkit was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, []
        self.code = 0
        self.card = folder / "models" / "m" / "card.json"
        self.card.parent.mkdir(parents=True)
        git(folder, "init", "--quiet")

    def commit(self, **card: Any) -> str:
        self.card.write_text(json.dumps({"name": "m", "version": "1.0.0", "files": [], **card}))
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "--allow-empty", "-m", "m")
        return git(self.folder, "rev-parse", "HEAD")

    def modelkit(self, arguments: list[str]) -> int:
        self.calls.append(list(arguments))
        if arguments[0] == "gate":
            models = Path(arguments[arguments.index("--models-dir") + 1])
            # Both models are there under the names of their folders.
            for name in ("m", "m-delivered"):
                assert json.loads((models / name / "card.json").read_text())["name"] == name
            return self.code
        return 0

    def gate(self, base: str | None) -> list[str]:
        reports: list[str] = []
        gates.gate(["m"], base, reports.append, project=self.folder, run=self.modelkit)
        return reports


def test_an_unchanged_model_is_verified_and_not_compared(tmp_path: Path) -> None:
    project = Project(tmp_path)
    base = project.commit()
    assert "the same as" in project.gate(base)[0]
    project.commit(description="other words")
    assert "the same as" in project.gate(base)[0]
    assert project.calls == [["verify", "m"]] * 2


def test_another_encoding_must_agree_and_another_version_must_be_as_accurate(tmp_path: Path) -> None:
    project = Project(tmp_path)
    base = project.commit()
    project.commit(files=[{"sha256": "other"}])
    project.gate(base)
    assert "--successor" not in project.calls[-1]
    project.commit(files=[{"sha256": "other"}], version="1.1.0")
    project.gate(base)
    assert project.calls[-1][:4] == ["gate", "m", "--against", "m-delivered"]
    assert "--successor" in project.calls[-1]


def test_a_worse_model_ends_the_delivery(tmp_path: Path) -> None:
    project = Project(tmp_path)
    base = project.commit()
    project.commit(files=[{"sha256": "other"}])
    project.code = 1
    with pytest.raises(DeliveryError, match="not as good"):
        project.gate(base)


def test_a_model_that_is_not_what_its_card_states_ends_the_delivery(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.commit()
    with pytest.raises(DeliveryError, match="nothing is built"):
        gates.gate(["m"], None, str, project=tmp_path, run=lambda _: 1)


def test_a_first_delivery_and_a_new_model_have_nothing_to_compare(tmp_path: Path) -> None:
    project = Project(tmp_path)
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    base = git(tmp_path, "rev-parse", "HEAD")
    project.commit()
    assert "not compared" in project.gate(None)[0]
    assert "nothing to compare" in project.gate(base)[0]


def test_an_unknown_commit_is_an_error_and_no_first_delivery(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.commit()
    with pytest.raises(DeliveryError, match="not in this clone"):
        project.gate("d" * 40)
