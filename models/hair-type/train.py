"""Train the hair-type classifier, choose among seeds, export it to ONNX, measure it and write its card.

    python -m pip install -r models/hair-type/requirements-train.txt
    PYTHONPATH=function python models/hair-type/train.py --data ../shared/data/hair

Photos are read by the endpoint's own code (pictures.py). Trained weights are kept in ``--work`` under a name that
holds a digest of everything that made them, so a second run with the same code, recipe and photos trains nothing.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import draw
import numpy as np
import release
import torch
from learn import Data, Recipe, train, validate
from network import HairNet
from pictures import LABELS, canvases, photos, served

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# What a network depends on beside the pictures themselves.
SOURCES = ("learn.py", "network.py", "augment.py", "pictures.py")


def _digest(parts: list[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


def _code(name: str) -> bytes:
    """A source as it is parsed, without imports: how it is laid out does not matter."""
    tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    return ast.unparse(tree).encode()


def load(folder: Path, recipe: Recipe) -> Data:
    """Read the training and the validation photos."""
    training, held_out = photos(folder / "train"), photos(folder / "validation")
    pixels, targets = canvases(training, recipe.canvas)
    return Data(
        pixels=pixels,
        targets=targets,
        validation=np.stack([served(item.path.read_bytes()) for item in held_out]),
        validation_targets=np.array([item.target for item in held_out], np.float32),
        digest=_digest([pixels.tobytes(), targets.tobytes()]),
    )


def trained(data: Data, recipe: Recipe, seed: int, work: Path) -> HairNet:
    """Return a seed's network: from ``work`` if it was trained before by the same code on the same pictures."""
    made_by = [json.dumps(asdict(recipe)).encode(), data.digest.encode(), torch.__version__.encode()]
    made_by += [_code(name) for name in SOURCES]
    path = work / f"seed-{seed}-{_digest(made_by)}.pt"
    if path.exists():
        network = HairNet()
        network.load_state_dict(torch.load(path, weights_only=True))
        return network
    network = train(data, recipe, seed)
    torch.save(network.state_dict(), path)
    return network


@dataclass(frozen=True)
class Choice:
    """The best of the seeds, and what is known of all: ``logits`` on the validation photos are ``(seeds, photos)``."""

    network: HairNet
    seed: int
    tried: list[dict[str, float]]
    logits: np.ndarray


def choose(data: Data, recipe: Recipe, seeds: list[int], work: Path) -> Choice:
    """Train every seed and choose the best by validation accuracy, then log loss."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    networks, tried, logits = [], [], []
    for seed in seeds:
        network = trained(data, recipe, seed, work)
        accuracy, log_loss = validate(network, data)
        print(f"seed {seed}: validation accuracy {accuracy:.4f}, log loss {log_loss:.4f}", flush=True)
        networks.append(network)
        tried.append({"seed": seed, "accuracy": round(accuracy, 4), "log_loss": round(log_loss, 4)})
        with torch.inference_mode():
            logits.append(network(torch.from_numpy(data.validation)).squeeze(1).numpy())
    best = max(range(len(seeds)), key=lambda index: (tried[index]["accuracy"], -tried[index]["log_loss"]))
    return Choice(networks[best], seeds[best], tried, np.stack(logits))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the hair-type classifier and write model.onnx and card.json.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/hair", help="holds train/, validation/")
    parser.add_argument("--output", type=Path, default=HERE, help="where model.onnx and card.json go")
    parser.add_argument("--work", type=Path, default=ROOT / ".local/hair-type", help="keeps trained weights")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2], help="one or more; the best one is exported")
    parser.add_argument("--quick", action="store_true", help="2 epochs, into --work: shows that everything runs")
    options = parser.parse_args()

    recipe = replace(Recipe(), epochs=options.epochs)
    options.work.mkdir(parents=True, exist_ok=True)
    output: Path = options.output
    if options.quick:
        recipe = replace(recipe, epochs=2)
        output = options.work / "quick"
    data = load(options.data, recipe)
    print(f"{len(data.targets)} photos to train on, {len(data.validation)} to validate on")
    choice = choose(data, recipe, options.seed, options.work)

    output.mkdir(parents=True, exist_ok=True)
    draw.write_golden(output / "golden")
    release.export(choice.network, output / release.GRAPH, data.validation)
    training = {
        "script": "models/hair-type/train.py",
        "photos": len(data.targets),
        "drawings": 0,
        "seed": choice.seed,
        "seeds_tried": choice.tried,
        "chosen_by": "accuracy, then log loss, on the validation photos",
        "recipe": asdict(recipe),
    }
    held_out = photos(options.data / "validation")
    card = release.write_card(output, held_out, LABELS, training, choice.logits, strict=not options.quick)
    print(json.dumps(card["evaluation"], indent=2))
    print(json.dumps(card["golden"], indent=2))


if __name__ == "__main__":
    main()
