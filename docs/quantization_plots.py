"""Draw docs/images/quantization-*.svg from what `modelkit quantize NAME --json` printed.

python docs/quantization_plots.py course.json docs/images/quantization-course.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from modelkit.plots import size_against_latency


def main(source: Path, target: Path) -> None:
    tried = [trial for trial in json.loads(source.read_bytes())["trials"] if "cost" in trial]
    points = [("float32", 1.0, 1.0)]
    for trial in tried:
        block = trial["recipe"].get("block_size")
        name = trial["recipe"]["scheme"] + (f", block {block}" if block else "")
        comparison = trial["comparison"]
        points.append((name, comparison["size_ratio"], comparison["latency_ratio"]))
    target.write_text(size_against_latency(points, relative=True), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
