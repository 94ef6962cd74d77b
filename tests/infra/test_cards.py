"""The model's check at synth: every malformed card, and every file that is not the card's, is a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra.cards import read_card
from infra.settings import SettingsError
from tests.infra.synthesis import ROOT

sys.path.append(str(ROOT / "tests" / "unit"))
import hostile_models
import tinymodel
from hostile_models import CARDS, CONTENTS, PLACES


def test_an_unknown_model_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"no models/dogs/card.json. Models here: .*hair-type"):
        read_card(ROOT / "models", "dogs", files="all")


@pytest.mark.parametrize("name", ["../m", "../../m", "/etc", "m/../m", "", ".", "M"])
def test_an_invalid_name_reads_no_file(tmp_path: Path, name: str) -> None:
    tinymodel.write_model(tmp_path / "m")
    (tmp_path / "models").mkdir()
    with pytest.raises(SettingsError, match="there is no models/"):
        read_card(tmp_path / "models", name, files="all")


def test_a_valid_model_returns_name_version_and_labels(tmp_path: Path) -> None:
    tinymodel.write_model(tmp_path / "m")
    for files in ("all", "present", "none"):
        card = read_card(tmp_path, "m", files=files)  # type: ignore[arg-type]
        assert (card.name, card.version, card.labels) == ("m", "1.0.0", ("blue", "red"))
    hostile_models.change(tmp_path / "m", name="other")
    with pytest.raises(SettingsError, match="names the model 'other', not 'm'"):
        read_card(tmp_path, "m", files="none")


@pytest.mark.parametrize("name", CARDS | PLACES | CONTENTS)
def test_a_hostile_folder_stops_the_synth(tmp_path: Path, name: str) -> None:
    spoil, sentence = (CARDS | PLACES | CONTENTS)[name]
    hostile_models.model(tmp_path / "m", spoil)
    with pytest.raises(SettingsError, match=f"^models/m: .*({sentence})"):
        read_card(tmp_path, "m", files="all")


@pytest.mark.parametrize("name", CARDS | PLACES | CONTENTS)
def test_with_a_base_image_the_files_in_the_folder_must_be_valid(tmp_path: Path, name: str) -> None:
    spoil, sentence = (CARDS | PLACES | CONTENTS)[name]
    hostile_models.model(tmp_path / "m", spoil)
    if name == "missing":
        assert read_card(tmp_path, "m", files="present").name == "m"
        return
    with pytest.raises(SettingsError, match=sentence):
        read_card(tmp_path, "m", files="present")
