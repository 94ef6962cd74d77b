"""Run one fuzz target with atheris (libFuzzer).

Usage: python tests/fuzz/fuzz_images.py TARGET [libFuzzer options, such as -runs=100000]

The last line says how many executions there were. A finding ends the run with an error and leaves its input in
``.local/fuzz/TARGET/``; run it again by giving that file as an option.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
# Seconds for one input, and MiB for the process: what an attack would need, and no ordinary slowness of the machine.
LIMITS = ("-timeout=25", "-rss_limit_mb=1536", "-max_len=8192")


def main() -> None:
    target, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["loupe", "PIL"], enable_loader_override=False):
        sys.path[:0] = [str(ROOT / "function"), str(ROOT / "tests" / "fuzz")]
        import image_targets
    call = image_targets.TARGETS[target]
    folder = ROOT / ".local" / "fuzz" / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(image_targets.seeds(target)):
        (folder / f"seed-{number}").write_bytes(data)
    reproducing = any(not option.startswith("-") for option in options)
    arguments = [sys.argv[0], *LIMITS, f"-artifact_prefix={folder}/finding-", *options]
    atheris.Setup(arguments if reproducing else [*arguments, str(folder)], call)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
