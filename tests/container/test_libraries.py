"""The image's compiled libraries load on what Lambda has: glibc 2.34 and, on x86-64, a CPU with AVX2.

What this shows: every symbol version and every declared instruction set of every library, and the instructions that
NumPy was built to take for granted. What it cannot show: instructions in a library that declares none. ONNX Runtime
and Pillow choose theirs at run time by CPUID, which only a Lambda of each CPU type would prove.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.container import elf
from tests.container.amazon_linux import GLIBC
from tests.container.engine import Engine

# Lambda's x86-64 fleet has AVX2 (AWS Lambda developer guide, 'Using Advanced Vector Extensions 2'): x86-64-v3.
LAMBDA_X86_LEVEL = 2
# Features of x86-64-v3 and of Graviton2 (Armv8.2) as NumPy names them.
NUMPY_BASELINE = {
    "SSE", "SSE2", "SSE3", "SSSE3", "SSE41", "POPCNT", "SSE42", "AVX", "F16C", "FMA3", "AVX2", "X86_V2", "X86_V3",
    "NEON", "NEON_FP16", "NEON_VFPV4", "ASIMD", "ASIMDHP", "ASIMDDP",
}  # fmt: skip
BASELINE = "import json, numpy._core._multiarray_umath as m; print(json.dumps(m.__cpu_baseline__))"


@pytest.fixture(scope="session")
def libraries(runner: Engine, image: str) -> dict[str, elf.Needs]:
    """Every ELF file of the function's folder, by name."""
    libraries: dict[str, elf.Needs] = {}
    with tarfile.open(fileobj=io.BytesIO(runner.archive(image, "/var/task"))) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None and stream.read(4) == elf.MAGIC:
                stream.seek(0)
                libraries[member.name] = elf.needs(stream.read())
    return libraries


def test_no_library_needs_a_newer_glibc_than_amazon_linux_has(
    libraries: dict[str, elf.Needs], record_property: Callable[[str, object], None]
) -> None:
    newest = max(needs.glibc for needs in libraries.values())
    record_property(
        "note", f"container: {len(libraries)} libraries need glibc {newest[0]}.{newest[1]} at most, of 2.{GLIBC[1]}"
    )
    assert newest > (2, 2)
    assert not {name: needs.glibc for name, needs in libraries.items() if needs.glibc > GLIBC}


def test_no_library_declares_a_cpu_that_lambda_lacks(libraries: dict[str, elf.Needs]) -> None:
    assert not {name: elf.X86_LEVELS[needs.x86_level] for name, needs in libraries.items()
                if needs.x86_level > LAMBDA_X86_LEVEL}  # fmt: skip


def test_libraries_are_for_one_machine(libraries: dict[str, elf.Needs]) -> None:
    assert len({needs.machine for needs in libraries.values()}) == 1
    assert any("onnxruntime" in name for name in libraries)
    assert any("PIL" in name for name in libraries)


def test_numpy_requires_no_cpu_feature_that_lambda_lacks(runner: Engine, image: str) -> None:
    baseline = set(json.loads(runner.run(image, "python3", "-c", BASELINE)))
    assert baseline
    assert not baseline - NUMPY_BASELINE


@pytest.fixture(scope="session")
def assembler() -> str:
    try:
        subprocess.run(["as", "--version"], check=True, capture_output=True)
        subprocess.run(["ld", "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no assembler is here to make a library that needs too much")
    return "as"


@pytest.mark.parametrize(("bits", "level"), [(0b0001, 0), (0b0011, 1), (0b0100, 2), (0b1000, 3)])
def test_a_declared_cpu_level_is_read(assembler: str, tmp_path: Path, bits: int, level: int) -> None:
    note = struct.pack("<III4sIIII", 4, 16, 5, b"GNU\0", 0xC0008002, 4, bits, 0)
    section = '.section .note.gnu.property,"a",@note\n.balign 8\n.byte ' + ",".join(map(str, note)) + "\n"
    (tmp_path / "a.s").write_text(section)
    subprocess.run([assembler, "-o", "a.o", "a.s"], cwd=tmp_path, check=True)
    subprocess.run(["ld", "-shared", "-o", "a.so", "a.o"], cwd=tmp_path, check=True)
    assert elf.needs((tmp_path / "a.so").read_bytes()).x86_level == level
