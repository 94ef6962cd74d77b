"""Build, verify, measure and judge every applicable scheme; keep the best one that passes the gate."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loupe.card import Card, load_card
from loupe.model import Array, Model
from loupe.model_files import sha256_of
from loupe.processor import describe

from modelkit.checks import Check, passed
from modelkit.errors import ModelkitError
from modelkit.evaluation import Comparison, Quality
from modelkit.folders import staged_folder, write_card
from modelkit.gating import Limits, golden_images, judge
from modelkit.labelled_images import LabelledImage, read_tensors, spread
from modelkit.latency import costs, vnni
from modelkit.quantize.prepare import prepared
from modelkit.quantize.schemes import Recipe, obstacle, recipes
from modelkit.reading import Predictions, Progress, probabilities_of, silent, truth_of
from modelkit.variant import Base, make_variant
from modelkit.verify import verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

CALIBRATION_IMAGES = 128
JUDGED_IMAGES = 256
_MEASURED = 8
# Fewest and most images for a verdict, for any limits.
_MIN_JUDGED, _MAX_JUDGED = 20, 200
# A variant has to be worth its own folder: the score it may have at most (see `Trial.score`).
_MAX_SCORE = 0.9
# Time to run x time to load against the base's: a slower load has to be earned back by faster runs. Above 1 is noise.
_MAX_TIME = 1.05
# Scores this close to the best one are equal within the error of timing; the most exact of them is kept.
_CLOSE = 1.15


@dataclass(frozen=True)
class Trial:
    """One recipe. ``reason`` says why it is not chosen; ``tried`` is false only where nothing was built.

    ``comparison`` is None where it was not tried, could not be built, or was built and failed `verify`.
    """

    recipe: Recipe
    comparison: Comparison | None = None
    checks: tuple[Check, ...] = ()
    reason: str = ""
    folder: Path = Path()
    tried: bool = True

    @property
    def transferable(self) -> bool:
        """Whether the latency applies to Lambda: 8-bit products gain from VNNI, which its x86 hosts lack."""
        gains = self.comparison is not None and self.comparison.latency_ratio < 1
        return not (gains and self.recipe.scheme != "float16" and vnni())

    @property
    def passes(self) -> bool:
        return self.comparison is not None and passed(self.checks)

    @property
    def shift(self) -> float:
        """Largest |difference of probability| from the base's answers."""
        return math.inf if self.comparison is None else float(self.comparison.shifts.max())

    @property
    def score(self) -> float:
        """Geometric mean of size, time to run and time to load, each against the base's: lower is better."""
        if self.comparison is None:
            return math.inf
        cost, base = self.comparison.model.cost, self.comparison.against.cost
        return float((cost.bytes / base.bytes * cost.run_ms / base.run_ms * cost.load_ms / base.load_ms) ** (1 / 3))

    def to_json(self) -> dict[str, Any]:
        """Return the trial as JSON's types."""
        value: dict[str, Any] = {
            "recipe": self.recipe.details,
            "tried": self.tried,
            "passes": self.passes,
            "reason": self.reason,
        }
        if self.comparison is not None:
            value |= {
                "score": round(self.score, 4),
                "latency_transferable": self.transferable,
                "cost": self.comparison.model.cost.to_json(),
                "comparison": self.comparison.to_json(),
                "checks": [check.to_json() for check in self.checks],
            }
        return value


@dataclass(frozen=True)
class Outcome:
    """Trials and the resulting variant: ``folder`` is the new one, or None."""

    trials: tuple[Trial, ...]
    folder: Path | None
    reason: str
    judged_images: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON's types."""
        return {
            "kept": self.folder.name if self.folder else None,
            "reason": self.reason,
            "judged_images": self.judged_images,
            "processor": describe(),
            "trials": [trial.to_json() for trial in self.trials],
        }


@dataclass
class Plan:
    """The scheme to try, calibration and evaluation images, and the handling of the result."""

    scheme: str
    calibration: Sequence[LabelledImage] = ()
    judged: Sequence[LabelledImage] = ()
    block: int | None = None
    method: str | None = None
    replace: bool = False
    even_if_worse: bool = False
    progress: Progress = field(default=silent)


def quantize(card: Card, plan: Plan) -> Outcome:
    """Try the plan's scheme, or all schemes, and keep the best variant that passes the gate.

    Raises
    ------
    ModelkitError
        If the model cannot be quantized, or the one scheme asked for makes no sense for it.
    """
    calibration, judged = _split(card, plan)
    least = minimum_images(Limits.of(card))
    if len(judged) < least and not (plan.even_if_worse and plan.scheme != "auto"):
        apart = f" beside the {len(calibration)} that calibrate" if calibration else ""
        raise ModelkitError(
            f"{len(judged)} image(s) are too few to judge {card.name}: a verdict needs at least {least}{apart}, as "
            "the limits allow one changed label in so many. Give more images, or --images DIR. (--even-if-worse "
            "keeps one scheme's variant without a verdict.)"
        )
    plan.progress("preparing the graph", 0, 1)
    proto = prepared(card)
    plan.progress("reading images", 0, 1)
    feeds = [tensor[None] for _, tensor in read_tensors(calibration, card.input) if tensor is not None]
    bench = _Bench.of(card, judged)
    with tempfile.TemporaryDirectory(prefix=".trials.", dir=card.directory.parent) as scratch:
        trials = []
        tried = recipes(plan.scheme, block=plan.block, method=plan.method)
        for number, recipe in enumerate(tried):
            plan.progress(f"trying {recipe.title}", number, len(tried))
            reason = obstacle(recipe.scheme, proto, calibrated=bool(feeds))
            if not reason:
                trials.append(_try(card, recipe, proto, feeds, bench, Path(scratch) / str(number)))
            elif plan.scheme != "auto":
                raise ModelkitError(f"{plan.scheme} does nothing for {card.name}: {reason}.")
            elif recipe.scheme not in {trial.recipe.scheme for trial in trials}:
                trials.append(Trial(Recipe(recipe.scheme), reason=reason, tried=False))
        return _choose(card, plan, trials, len(bench.tensors))


def minimum_images(limits: Limits) -> int:
    """Return the minimum number of images for a verdict: with fewer, one changed label exceeds the limits."""
    allowed = 1 - limits.min_agreement
    return _MAX_JUDGED if allowed <= 0 else min(_MAX_JUDGED, max(_MIN_JUDGED, math.ceil(1 / allowed - 1e-9)))


def _split(card: Card, plan: Plan) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Calibrate on some images and judge on others; an image's copies under other names count as the image."""
    if not plan.calibration:
        return [], spread(plan.judged, JUDGED_IMAGES) if plan.judged else golden_images(card)
    count = CALIBRATION_IMAGES if plan.judged else min(CALIBRATION_IMAGES, len(plan.calibration) // 2)
    calibration = spread(plan.calibration, count)
    taken = {sha256_of(image.path) for image in calibration}
    candidates = spread(plan.judged or plan.calibration, JUDGED_IMAGES + len(calibration))
    judged = [image for image in candidates if sha256_of(image.path) not in taken]
    return calibration, spread(judged, JUDGED_IMAGES)


@dataclass(frozen=True)
class _Bench:
    """The images to judge on, decoded once, and the base's answers."""

    tensors: tuple[Array, ...]
    readings: Predictions

    @classmethod
    def of(cls, card: Card, images: Sequence[LabelledImage]) -> _Bench:
        pairs = [(image, tensor) for image, tensor in read_tensors(images, card.input) if tensor is not None]
        if not pairs:
            raise ModelkitError(f"None of the {len(images)} images can be read.")
        truth, targets, thresholds = truth_of([image for image, _ in pairs], card.output)
        tensors = tuple(tensor[None] for _, tensor in pairs)
        blank = Predictions(tuple(image.path for image, _ in pairs), truth, np.empty((0, 0)), (), targets, thresholds)
        return cls(tensors, _readings(Model.load(card), tensors, blank))

    def compare(self, card: Card, base: Card) -> Comparison:
        readings = _readings(Model.load(card), self.tensors, self.readings)
        measured = self.tensors[:_MEASURED]
        cost, against = costs([card, base], [measured, measured])
        return Comparison(Quality(card, readings, cost), Quality(base, self.readings, against))


def _readings(model: Model, tensors: Sequence[Array], like: Predictions) -> Predictions:
    rows = np.stack([probabilities_of(model.run(tensor)[0], model.card.output) for tensor in tensors])
    return dataclasses.replace(like, probabilities=rows)


def _try(
    card: Card, recipe: Recipe, proto: onnx.ModelProto, feeds: Sequence[Array], bench: _Bench, parent: Path
) -> Trial:
    try:
        quantized = recipe.apply(proto, card.input, feeds)
    except ModelkitError as error:
        return Trial(recipe, reason=str(error))
    with make_variant(Base.of(card), recipe.scheme, quantized, recipe.details, parent=parent) as variant:
        pass
    own = verify(variant.target)
    if not passed(own):
        failed = next(check for check in own if check.status == "fail")
        return Trial(recipe, reason=f"verify: {failed.name}: {failed.detail}")
    comparison = bench.compare(load_card(variant.target), card)
    checks = tuple(judge(comparison, Limits.of(card)))
    trial = Trial(recipe, comparison, checks, folder=variant.target)
    if not trial.passes:
        worst = next(check for check in checks if check.status == "fail")
        return dataclasses.replace(trial, reason=f"gate: {worst.name}: {worst.detail}")
    return dataclasses.replace(trial, reason=_no_gain(trial, comparison))


def _no_gain(trial: Trial, comparison: Comparison) -> str:
    """Return why a variant of equal accuracy is not kept: savings in size must not cost time."""
    run = comparison.latency_ratio
    load = comparison.model.cost.load_ms / comparison.against.cost.load_ms
    if run * load > _MAX_TIME:
        return f"not better: runs {run:.2f}x and loads {load:.2f}x as long as the base"
    if trial.score > _MAX_SCORE:
        return f"not worth a folder: score {trial.score:.2f}, where the base has 1"
    return ""


def _choose(card: Card, plan: Plan, trials: list[Trial], judged: int) -> Outcome:
    built = [trial for trial in trials if trial.comparison is not None]
    good = [trial for trial in built if trial.passes and not trial.reason]
    if not good and plan.even_if_worse and plan.scheme != "auto":
        good = built
    if not good:
        why = f" {trials[0].recipe.title}: {trials[0].reason}" if len(trials) == 1 else ""
        reason = f"Nothing is kept: no variant is both as good as {card.name} and better to serve.{why}"
        return Outcome(tuple(trials), None, reason, judged)
    close = [trial for trial in good if trial.score <= _CLOSE * min(other.score for other in good)]
    best = min(close, key=lambda trial: trial.shift)
    name = f"{card.name}-{best.recipe.scheme}"
    target = card.directory.parent / name
    with staged_folder(target, replace=plan.replace) as folder:
        shutil.copytree(best.folder, folder, dirs_exist_ok=True)
        raw = dict(load_card(folder).raw)
        raw["quantization"] = raw["quantization"] | {"measured": _figures(best, judged)}
        write_card(folder, raw)
    reason = (
        f"{best.recipe.title} is the best of those that pass the gate: small, fast and exact "
        f"(score {best.score:.3f}, where {card.name} has 1)."
    )
    if best.reason:
        reason = f"Kept although the gate rejects it: {best.reason}"
    elif judged < minimum_images(Limits.of(card)):
        reason = f"Kept without a verdict: {judged} image(s) are too few to judge by."
    return Outcome(tuple(trials), target, reason, judged)


def _figures(trial: Trial, images: int) -> dict[str, Any]:
    if trial.comparison is None:
        return {}
    about = {"pictures": images, "processor": describe(), "latency_transferable": trial.transferable}
    return about | trial.comparison.to_json() | trial.comparison.model.cost.to_json()
