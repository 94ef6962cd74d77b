"""Put a model's golden pictures, small, into the page as its samples: python scripts/page_samples.py models/hair-type.

Each is taken only if the model still gives it its label when it is small. Run it again when the golden pictures change.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import sys
from pathlib import Path

from loupe.card import InputSpec
from loupe.classifier import Classifier
from loupe.image import Limits, decode
from PIL import Image

PAGE = Path(__file__).resolve().parent.parent / "function" / "loupe" / "page" / "index.html"
BLOCK = re.compile(r'(<script type="application/json" id="sample-pictures">\n).*?(\n</script>)', re.DOTALL)
SIDE = 240
QUALITY = 72
MAX_BYTES = 12_000
EACH_LABEL = 2
LEAST_PROBABILITY = 0.9


def small(path: Path, spec: InputSpec) -> bytes:
    """Upright, over white, at most `SIDE` pixels a side, as WebP."""
    picture: Image.Image = decode(path.read_bytes(), Limits(), spec).convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def samples(folder: Path) -> list[dict[str, str]]:
    classifier = Classifier.load(folder)
    chosen: list[dict[str, str]] = []
    for case in classifier.card.golden:
        data = small(folder / case.image, classifier.card.input)
        said = classifier.classify(data)
        fit = (said.label, said.probability >= LEAST_PROBABILITY, len(data) <= MAX_BYTES) == (case.label, True, True)
        print(f"{case.image}: {len(data):,} bytes, {said.label} {said.probability:.3f}{'' if fit else ': left out'}")
        if fit and sum(each["label"] == case.label for each in chosen) < EACH_LABEL:
            uri = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
            chosen.append({"label": case.label, "data": uri})
    return sorted(chosen, key=lambda each: [other["label"] for other in chosen].index(each["label"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="*", help="folders of models; none empties the list")
    chosen = [each for folder in parser.parse_args().model for each in samples(folder)]
    block = "[\n" + ",\n".join(map(json.dumps, chosen)) + "\n]" if chosen else "[]"
    page, found = BLOCK.subn(lambda match: match[1] + block + match[2], PAGE.read_text("utf-8"))
    if found != 1:
        sys.exit(f"{PAGE} has no block of sample pictures.")
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
