"""Files that the image's build deletes from the installed packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from localcloud.state import PROJECT

spec = importlib.util.spec_from_file_location("prune", PROJECT / "function" / "prune.py")
assert spec is not None
assert spec.loader is not None
prune = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prune)

RETAINED = (
    "onnxruntime/capi/_pybind.so",
    "numpy/testing/__init__.py",
    "PIL/Image.py",
    "a.dist-info/LICENSE",
    "p/contests.py",
)
DELETED = (
    "bin/f2py", "onnxruntime/tools/a/b.py", "onnxruntime/capi/libonnxruntime.so.1", "numpy/_core/tests/test_a.py",
    "numpy/_core/tests/data/tests/x", "numpy/__init__.pyi", "p/q/r.pyi",
)  # fmt: skip


def test_files_that_no_request_reads_are_deleted_and_others_remain(tmp_path: Path) -> None:
    for name in (*RETAINED, *DELETED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    prune.prune(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(RETAINED)


def test_a_link_is_deleted_and_its_target_remains(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").touch()
    (tmp_path / "packages" / "p").mkdir(parents=True)
    (tmp_path / "packages" / "p" / "tests").symlink_to(tmp_path / "outside")
    (tmp_path / "packages" / "p" / "gone.pyi").symlink_to("nowhere")
    assert prune.prune(tmp_path / "packages") == 2
    assert (tmp_path / "outside" / "a").exists()
