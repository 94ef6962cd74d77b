"""Write small copies of models' golden images as the page's samples: python scripts/page_samples.py models/hair-type.

An image is taken if the model still gives it its label when it is small. The page offers a model's samples to every
model with the same labels, and does not tell what they show: neither by a name nor by their order. `make page-image`
runs this.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
from itertools import chain
from pathlib import Path

from loupe.card import InputSpec
from loupe.classifier import Classifier
from loupe.image import Limits, decode
from PIL import Image

SAMPLES = Path(__file__).resolve().parent.parent / "function" / "loupe" / "http" / "page" / "samples.json"
SIDE = 240
QUALITY = 72
MAX_BYTES = 12_000
PER_LABEL = 2
MIN_PROBABILITY = 0.9


def small(path: Path, spec: InputSpec) -> bytes:
    """Upright, over white, at most `SIDE` pixels a side, as WebP."""
    image: Image.Image = decode(path.read_bytes(), Limits(), spec).convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def samples(folder: Path) -> dict[str, list[str]]:
    """Return a model's labels and its samples as data URIs, in an order that depends on their bytes alone."""
    classifier = Classifier.load(folder)
    images: dict[str, list[str]] = {}
    for case in classifier.card.golden:
        data = small(folder / case.image, classifier.card.input)
        prediction = classifier.classify(data)
        usable = prediction.label == case.label and prediction.probability >= MIN_PROBABILITY and len(data) <= MAX_BYTES
        score = f"{prediction.label} {prediction.probability:.3f}"
        print(f"{case.image}: {len(data):,} bytes, {score}{'' if usable else ': left out'}")
        if usable and len(images.setdefault(case.label, [])) < PER_LABEL:
            images[case.label].append(f"data:image/webp;base64,{base64.b64encode(data).decode()}")
    return {
        "labels": list(classifier.card.output.labels),
        "pictures": sorted(chain(*images.values()), key=lambda uri: hashlib.sha256(uri.encode()).digest()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="*", help="folders of models; without any, the page has no samples")
    sets = [samples(folder) for folder in parser.parse_args().model]
    SAMPLES.write_text(json.dumps(sets, indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    main()
