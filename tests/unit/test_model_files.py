"""The check of the files that a card names, at INIT, in modelkit and in the image build."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import hostile_models
import pytest
import tinymodel
from hostile_models import CARDS, CONTENTS, PLACES
from loupe.card import CardError, load_card
from loupe.model import Model
from loupe.model_files import MAX_GOLDEN_BYTES, check_files, main, read_golden

from modelkit.checks import passed
from modelkit.errors import ModelkitError
from modelkit.fetching import fetch
from modelkit.verify import verify

FUNCTION = Path(__file__).parents[2] / "function"
EVERYTHING = CARDS | PLACES | CONTENTS


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_image_build_and_verify_reject_it_with_a_clear_message(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, sentence = EVERYTHING[name]
    folder = hostile_models.model(tmp_path / "tiny", spoil)
    assert main([str(folder)]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    checks = verify(folder)
    assert not passed(checks)
    with pytest.raises(CardError, match=sentence) as caught:
        check_files(load_card(folder), content=True)
    assert str(caught.value) == printed.strip()
    assert len(printed) < 1000


@pytest.mark.parametrize("name", PLACES)
def test_init_rejects_a_file_by_location_type_and_size(tmp_path: Path, name: str) -> None:
    spoil, sentence = PLACES[name]
    with pytest.raises(CardError, match=sentence):
        Model.load(load_card(hostile_models.model(tmp_path / "tiny", spoil)))


def test_valid_folder_passes_every_check(tmp_path: Path) -> None:
    folder = tinymodel.write_model(tmp_path / "tiny")
    for files in ("all", "present", "none"):
        assert main([str(folder), "--files", files]) == 0
    assert passed(verify(folder))
    # A link within the folder is that folder's file.
    (folder / "model.onnx").rename(folder / "weights")
    (folder / "model.onnx").symlink_to("weights")
    assert main([str(folder)]) == 0


def test_program_needs_only_the_standard_library(tmp_path: Path) -> None:
    """The image build and synth run it without any other package installed."""
    folder = tinymodel.write_model(tmp_path / "tiny")
    command = [sys.executable, "-S", "-m", "loupe.model_files", str(folder)]
    assert subprocess.run(command, cwd=FUNCTION, timeout=60).returncode == 0
    (folder / "model.onnx").unlink()
    done = subprocess.run(command, cwd=FUNCTION, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_files_of_a_base_image_are_copied_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, base = tinymodel.write_model(tmp_path / "tiny"), tmp_path / "task"
    base.mkdir()
    (folder / "model.onnx").rename(base / "model.onnx")
    assert main([str(folder), "--files", "present"]) == 0
    assert main([str(folder), "--base", str(base)]) == 0
    assert (folder / "model.onnx").read_bytes() == tinymodel.graph()
    (folder / "model.onnx").unlink()
    (base / "model.onnx").write_bytes(bytes(len(tinymodel.graph())))
    assert main([str(folder), "--base", str(base)]) == 1
    (folder / "model.onnx").unlink()
    (base / "model.onnx").unlink()
    assert main([str(folder), "--base", str(base)]) == 1
    assert "model.onnx is neither in" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../outside.png"])
def test_a_golden_image_is_read_inside_the_folder_only(tmp_path: Path, target: str) -> None:
    folder = tinymodel.write_model(tmp_path / "tiny", golden=[{"image": "a.png", "label": "red", "probability": 1}])
    (tmp_path / "outside.png").write_bytes(b"x")
    (folder / "a.png").symlink_to(target)
    with pytest.raises(CardError, match="leads out of"):
        read_golden(folder, "a.png")
    (check,) = [check for check in verify(folder) if check.name == "golden a.png"]
    assert (check.status, "leads out of" in check.detail) == ("fail", True)


def test_a_golden_image_has_a_size_limit(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(MAX_GOLDEN_BYTES + 1)
    with pytest.raises(CardError, match="larger than 33,554,432 bytes"):
        read_golden(tmp_path, "a.png")


@pytest.mark.parametrize("name", ["through a linked folder"])
def test_fetch_writes_inside_the_folder_only(tmp_path: Path, name: str) -> None:
    folder = hostile_models.model(tmp_path / "tiny", PLACES[name][0])
    (tmp_path / "outside" / "model.onnx").unlink()
    hostile_models.change_file(folder, urls=["https://example.com/model.onnx"])
    with pytest.raises(ModelkitError, match="leads out of"):
        fetch(load_card(folder))
    assert not list((tmp_path / "outside").iterdir())


def test_the_git_hash_is_that_of_git(tmp_path: Path) -> None:
    # printf 'hello\n' | git hash-object --stdin
    data = b"hello\n"
    assert hostile_models.git_hash(data) == "ce013625030ba8dba906f756967f9e9ca394464a"
    folder = tinymodel.write_model(tmp_path / "tiny", data)
    sha256 = hashlib.sha256(data).hexdigest()
    for git_hash, code in (("ce013625030ba8dba906f756967f9e9ca394464a", 0), ("0" * 40, 1)):
        # If both are given, both are compared.
        hostile_models.change_file(folder, git_blob_sha1=git_hash, sha256=sha256)
        assert main([str(folder)]) == code
