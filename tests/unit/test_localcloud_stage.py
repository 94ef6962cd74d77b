"""An image without a container engine: what is in it, and its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import tinymodel

from localcloud import stage
from localcloud.errors import CloudError
from localcloud.stage import staged_image
from localcloud.state import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for path, text in {
        "function/Dockerfile": 'FROM x\nCMD ["handler.handler"]\n',
        "function/handler.py": "import loupe\n",
        "function/jobs.py": "import loupe\n",
        "function/prune.py": "import os\n",
        "function/requirements.txt": "numpy",
        "function/loupe/__init__.py": "",
        "function/loupe/http/page/index.html": "<p>",
        "function/loupe/__pycache__/old.pyc": "",
        "models/m/README.md": "for people",
        "models/m/golden/a.jpg": "picture",
        "models/other/model.onnx": "weights",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    tinymodel.write_model(root / "models" / "m", b"weights")
    return root


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_image_has_only_code_and_the_models_files(project: Path, tmp_path: Path) -> None:
    image = stage.stage(project, ["m"], tmp_path / "image")
    assert files(image.folder) == {
        "handler.py",
        "jobs.py",
        "loupe/__init__.py",
        "loupe/http/page/index.html",
        "models/m/card.json",
        "models/m/model.onnx",
    }
    assert list(image.folder.rglob("handler.*.pyc")), "byte-compiled, as in the image"
    assert staged_image(tmp_path / "image", image.tag) == image


def test_its_name_changes_with_its_content_only(project: Path, tmp_path: Path) -> None:
    first = stage.stage(project, ["m"], tmp_path / "image")
    (project / "models/m/README.md").write_text("other words")
    assert stage.stage(project, ["m"], tmp_path / "image") == first
    tinymodel.write_model(project / "models" / "m", b"other weights")
    second = stage.stage(project, ["m"], tmp_path / "image")
    assert second.tag != first.tag
    stage.remove_others(tmp_path / "image", [second.tag])
    assert {path.name for path in (tmp_path / "image").iterdir()} == {second.tag, f"{second.tag}.json"}


def test_missing_programs_are_named(project: Path, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="no model 'none'"):
        stage.stage(project, ["none"], tmp_path)
    with pytest.raises(CloudError, match="No image with the tag"):
        staged_image(tmp_path, "abc")
    (project / "models/m/model.onnx").write_text("changed")
    with pytest.raises(CloudError, match=r"'m' cannot be deployed: m: model\.onnx has sha256 .*, not the card's"):
        stage.stage(project, ["m"], tmp_path)
    (project / "models/m/model.onnx").unlink()
    with pytest.raises(CloudError, match=r"'m' cannot be deployed: m: model\.onnx is missing"):
        stage.stage(project, ["m"], tmp_path)
    (project / "function/Dockerfile").write_text("FROM x")
    with pytest.raises(CloudError, match="CMD"):
        stage.stage(project, ["m"], tmp_path)


def test_the_dockerfile_copies_the_staged_files() -> None:
    """The code that the Dockerfile copies from this repository: a new COPY is staged, too, or of the build alone."""
    lines = (PROJECT / "function" / "Dockerfile").read_text().splitlines()
    copied = {match.group(1) for line in lines if (match := re.match(r"COPY (?!--from)(\S+)", line))}
    assert copied == {"function/requirements.txt", "models", "function/handler.py", "function/bulk.py",
                      "function/jobs.py", "function/release.py", "function/shadow.py", "function/loupe",
                      "function/prune.py"}  # fmt: skip


def test_the_authorizers_image_has_its_modules_and_its_table_of_issuers(tmp_path: Path) -> None:
    image = stage.stage_authorizer(PROJECT, tmp_path)
    assert files(image.folder) == {
        "authorize.py", "documents.py", "issuer.py", "owners.py", "segments.py", "shared_issuers.json",
    }  # fmt: skip
