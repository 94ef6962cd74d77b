"""Delete the files of installed packages that no request reads: ``python prune.py FOLDER``, in the image's build.

Only the standard library is used: Amazon Linux 2023 minimal has no ``find``. Deleted are
tests, type stubs and headers, ONNX Runtime's tools for jobs other than inference, and its library for C programs
(35 MB): the Python module contains the same code and does not load it. Licences stay, in each dist-info.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

PATTERNS = (
    "bin",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/datasets",
    "onnxruntime/backend",
    "onnxruntime/capi/libonnxruntime.so*",
    "numpy/f2py",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/conftest.py",
    "**/tests",
    "**/*.pyi",
)


def prune(folder: Path) -> int:
    """Delete what matches `PATTERNS` below the folder; return the number of files and folders deleted."""
    deleted = 0
    for pattern in PATTERNS:
        # A list: deleting while walking the tree would miss entries.
        for path in list(folder.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
                deleted += 1
            elif path.is_symlink() or path.exists():
                path.unlink()
                deleted += 1
    return deleted


if __name__ == "__main__":
    print(f"{prune(Path(sys.argv[1]))} files and folders pruned")
