"""Inputs that the demonstration rejects before it starts anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image
from typer.testing import CliRunner

from localcloud.__main__ import app
from localcloud.errors import CloudError
from localcloud.images import DIRECT_BYTES, check, media_type
from localcloud.models import golden
from localcloud.settings import effective

if TYPE_CHECKING:
    from pathlib import Path

    from infra.settings import InputSettings

run = CliRunner().invoke


@pytest.fixture
def inputs() -> InputSettings:
    return effective({}).inputs


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("GIF", "image/gif"),
     ("AVIF", "image/avif"), ("BMP", "image/bmp"), ("TIFF", "image/tiff")],
)  # fmt: skip
def test_images_of_all_formats_are_accepted(tmp_path: Path, inputs: InputSettings, kind: str, expected: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "picture", kind)
    assert check(tmp_path / "picture", inputs).direct
    assert media_type(tmp_path / "picture") == expected


def test_a_file_that_is_not_an_image_is_rejected_before_deployment(tmp_path: Path, inputs: InputSettings) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    result = run(app, ["demo", "--image", str(tmp_path / "notes.txt"), "--state", str(tmp_path / "state")])
    assert result.exit_code == 1
    assert "not an image" in result.output
    with pytest.raises(CloudError, match="cannot be read"):
        check(tmp_path / "none.jpg", inputs)
    with pytest.raises(CloudError, match="not a file"):
        check(tmp_path, inputs)


def sized(path: Path, size: int) -> Path:
    Image.new("RGB", (8, 8)).save(path, "JPEG")
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def test_an_image_larger_than_a_request_is_uploaded(tmp_path: Path, inputs: InputSettings) -> None:
    assert check(sized(tmp_path / "a", DIRECT_BYTES), inputs).direct
    large = sized(tmp_path / "b", DIRECT_BYTES + 1)
    assert not check(large, inputs).direct
    off = inputs.model_copy(update={"uploads": inputs.uploads.model_copy(update={"enabled": False})})
    with pytest.raises(CloudError, match="uploads"):
        check(large, off)


def test_an_image_above_the_limit_of_the_deployment_is_rejected(tmp_path: Path, inputs: InputSettings) -> None:
    with pytest.raises(CloudError, match="max_image_bytes"):
        check(sized(tmp_path / "a", inputs.max_image_bytes + 1), inputs)


def test_a_model_without_golden_images_needs_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.models.golden", lambda _: [])
    result = run(app, ["demo", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "--image" in result.output


@pytest.mark.parametrize("broken", [False, True], ids=["none", "unreadable"])
def test_up_prints_the_url_without_readable_golden_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    def golden(_: str) -> list[object]:
        if broken:
            raise CloudError("The golden images cannot be read.")
        return []

    endpoint = {"url": "http://127.0.0.1:1/live", "api_key": "k"}
    monkeypatch.setattr("localcloud.models.golden", golden)
    monkeypatch.setattr("localcloud.cloud.up", lambda *_: endpoint)
    result = run(app, ["up", "--state", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "http://127.0.0.1:1/live/v1/classify" in result.output
    assert "@photo.jpg" in result.output


def test_an_unknown_setting_is_rejected_before_deployment(tmp_path: Path) -> None:
    result = run(app, ["up", "--set", "function.memory=1", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "function.memory" in result.output


def test_a_missing_log_is_reported(tmp_path: Path) -> None:
    result = run(app, ["logs", "nothing", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "ministack" in result.output


def test_status_and_down_of_nothing(tmp_path: Path) -> None:
    assert run(app, ["status", "--json", "--state", str(tmp_path)]).exit_code == 1
    assert "nothing was running" in run(app, ["down", "--state", str(tmp_path)]).output


def test_golden_images_start_with_one_per_label() -> None:
    first, second, *_ = golden("hair-type")
    assert {first.label, second.label} == {"curly", "straight"}
    with pytest.raises(CloudError, match="no-such-model"):
        golden("no-such-model")
