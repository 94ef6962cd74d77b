"""Describe the processor of an execution environment, to compare measurements; logged at level DEBUG only."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_MAX_BYTES = 16_384
# Vector extensions of x86 and Arm that determine the speed of convolutions and quantized models.
_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve", "bf16")


def describe(file: Path = _CPUINFO) -> str:
    """Return the processor's name and relevant flags, such as ``Intel(R) Xeon(R) ... (avx2 fma)``.

    ``unknown`` if the system does not provide it.
    """
    try:
        with file.open(encoding="ascii", errors="replace") as stream:
            text = stream.read(_MAX_BYTES)
    except OSError:
        return "unknown"
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        values.setdefault(name.strip().lower(), value.strip())
    flags = set((values.get("flags") or values.get("features") or "").split())
    present = " ".join(flag for flag in _FLAGS if flag in flags)
    model = values.get("model name") or values.get("cpu part") or "unknown"
    return f"{model[:80]} ({present or 'no flags known'})"
