"""Requirements of a compiled library on the machine that loads it, read from its ELF file (pyelftools)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import NoteSection

MAGIC = b"\x7fELF"
# Bits of GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI, 'Program Property').
X86_LEVELS = {0: "x86-64", 1: "x86-64-v2", 2: "x86-64-v3", 3: "x86-64-v4"}
_ISA_NEEDED = "GNU_PROPERTY_X86_ISA_1_NEEDED"
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")


@dataclass(frozen=True)
class Needs:
    """Newest glibc that the file's versioned symbols name, x86-64 level that its note declares, and its machine.

    `x86_level` is 0 for a file without the note: it declares nothing, which does not prove that it needs nothing.
    """

    glibc: tuple[int, int]
    x86_level: int
    machine: str


def needs(content: bytes) -> Needs:
    """Read an ELF file."""
    file = ELFFile(BytesIO(content))
    glibc, level = (0, 0), 0
    for section in file.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, versions in section.iter_versions():
                for version in versions:
                    if match := _GLIBC.fullmatch(version.name):
                        glibc = max(glibc, (int(match[1]), int(match[2])))
        elif isinstance(section, NoteSection):
            for note in section.iter_notes():
                if note["n_type"] == "NT_GNU_PROPERTY_TYPE_0":
                    level = max(level, *(_level(item) for item in note["n_desc"]), 0)
    return Needs(glibc, level, file.get_machine_arch())


def _level(item: object) -> int:
    if getattr(item, "pr_type", "") != _ISA_NEEDED:
        return 0
    return max((bit for bit in X86_LEVELS if int(getattr(item, "pr_data", 0)) >> bit & 1), default=0)
