"""What the demonstration refuses before it starts anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from localcloud.__main__ import app
from localcloud.demo import media_type
from localcloud.errors import CloudError
from localcloud.models import golden

if TYPE_CHECKING:
    from pathlib import Path

run = CliRunner().invoke


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(tmp_path: Path, start: bytes, expected: str) -> None:
    (tmp_path / "picture").write_bytes(start)
    assert media_type(tmp_path / "picture") == expected


def test_what_is_no_picture_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    result = run(app, ["demo", "--image", str(tmp_path / "notes.txt"), "--state", str(tmp_path / "state")])
    assert result.exit_code == 1
    assert "not a picture" in result.output
    with pytest.raises(CloudError, match="cannot be read"):
        media_type(tmp_path / "none.jpg")


def test_a_setting_that_does_not_exist_is_told_at_once(tmp_path: Path) -> None:
    result = run(app, ["up", "--set", "function.memory=1", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "function.memory" in result.output


def test_a_log_that_does_not_exist_is_told(tmp_path: Path) -> None:
    result = run(app, ["logs", "nothing", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "ministack" in result.output


def test_status_and_down_of_nothing(tmp_path: Path) -> None:
    assert run(app, ["status", "--json", "--state", str(tmp_path)]).exit_code == 1
    assert "nothing was running" in run(app, ["down", "--state", str(tmp_path)]).output


def test_golden_pictures_come_one_of_each_label_first() -> None:
    first, second, *_ = golden("hair-type")
    assert {first.label, second.label} == {"curly", "straight"}
    with pytest.raises(CloudError, match="no-such-model"):
        golden("no-such-model")
