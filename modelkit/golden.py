"""Golden cases as the user states them: an image, its label, and its probability in training."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.card import CardError, GoldenCase
from loupe.errors import Problem
from loupe.model_files import read_golden

from modelkit.diagnosis import Evidence, diagnose
from modelkit.errors import ModelkitError
from modelkit.label_files import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.classifier import Classifier

TOLERANCE = 0.02
_HEADER = ("image", "label")
LABEL_ONLY = (
    "proves the label only: preprocessing that is wrong and keeps the label is not detected. Give the probability of "
    "training, --golden IMAGE=LABEL:PROBABILITY."
)


class Golden(NamedTuple):
    """``answer`` is ``LABEL`` or ``LABEL:PROBABILITY``; the model's labels decide which (see `read_answer`)."""

    image: Path
    answer: str


def parse_golden(text: str, folder: Path = Path()) -> Golden:
    """Split ``IMAGE=LABEL`` or ``IMAGE=LABEL:PROBABILITY``. Names and labels may contain ``=`` if the image exists.

    Raises
    ------
    ModelkitError
        If there is no ``=`` with something on both sides.
    """
    places = [index for index, character in enumerate(text) if character == "="]
    splits = [(text[:place], text[place + 1 :].strip()) for place in places]
    splits = [(image, answer) for image, answer in splits if image and answer]
    if not splits:
        raise ModelkitError(f"{text!r} must be IMAGE=LABEL or IMAGE=LABEL:PROBABILITY.")
    image, answer = next((split for split in splits if (folder / split[0]).is_file()), splits[-1])
    return Golden(folder / image, answer)


def read_golden_file(path: Path) -> tuple[Golden, ...]:
    """Read golden cases: a line ``IMAGE=LABEL:PROBABILITY`` each, or CSV with the header ``image,label,probability``.

    Images are relative to the file's folder.

    Raises
    ------
    ModelkitError
        With the line that cannot be read.
    """
    text = read_text(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ModelkitError(f"{path} holds no golden case.")
    header = tuple(cell.strip().lower() for cell in lines[0].split(","))
    if header[:2] != _HEADER:
        try:
            return tuple(parse_golden(line.strip(), path.parent) for line in lines)
        except ModelkitError as error:
            raise ModelkitError(f"{path}: {error}") from None
    cases = []
    for row in csv.DictReader(io.StringIO("\n".join([",".join(header), *lines[1:]])), skipinitialspace=True):
        if not row["image"] or not row["label"]:
            raise ModelkitError(f"{path}: a row has no image or no label: {', '.join(filter(None, row.values()))!r}.")
        probability = (row.get("probability") or "").strip()
        answer = f"{row['label'].strip()}:{probability}" if probability else row["label"].strip()
        cases.append(Golden(path.parent / row["image"].strip(), answer))
    return tuple(cases)


def read_answer(answer: str, labels: Sequence[str]) -> tuple[str, float | None]:
    """Return label and probability (None: not given). A label that itself ends in ``:0.5`` is the label.

    Raises
    ------
    ModelkitError
        If the label is not one of the model's, or the number is not a probability.
    """
    if answer in labels:
        return answer, None
    label, colon, number = answer.rpartition(":")
    if not colon or label not in labels:
        shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
        raise ModelkitError(f"Golden label {(label or answer)[:80]!r} is not one of the labels ({shown}).")
    try:
        probability = float(number)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise ModelkitError(f"Golden probability {number!r} of {label!r} must be a number from 0 to 1.")
    return label, probability


def make_cases(folder: Path, classifier: Classifier, images: Sequence[Golden]) -> list[dict[str, Any]]:
    """Copy the images into ``folder/golden``, classify them, and return the card's cases.

    Raises
    ------
    ModelkitError
        If an image cannot be used, or comes out otherwise than was given, with what would explain it.
    """
    (folder / "golden").mkdir()
    cases: list[dict[str, Any]] = []
    evidence: list[Evidence] = []
    wrong: list[str] = []
    used: set[Path] = set()
    for path, answer in images:
        label, stated = read_answer(answer, classifier.card.output.labels)
        if not path.is_file():
            raise ModelkitError(f"Golden image {path} is missing.")
        if path.resolve() in used:
            raise ModelkitError(f"Golden image {path} is given twice.")
        used.add(path.resolve())
        try:
            image = read_golden(path.resolve().parent, path.resolve().name)
        except CardError as error:
            raise ModelkitError(f"Golden image {path}: {error}") from None
        name = _free_name(folder / "golden", path.resolve())
        (folder / "golden" / name).write_bytes(image)
        try:
            prediction = classifier.classify(image)
        except Problem as problem:
            raise ModelkitError(f"Golden image {path.name}: {problem.detail}") from None
        probability = dict(prediction.scores)[label]
        evidence.append(Evidence(image, label, stated, TOLERANCE))
        if label not in prediction.assigned_labels:
            below = f"; {label} has {probability:.3f}" if classifier.card.output.multilabel else ""
            wrong.append(f"{name} comes out as {prediction.label} ({prediction.probability:.3f}), not {label}{below}")
        elif stated is not None and abs(probability - stated) > TOLERANCE:
            wrong.append(f"{name} comes out as {label} with {probability:.4f}, not the stated {stated:g}")
        expected = round(probability, 4) if stated is None else stated
        cases.append({"image": f"golden/{name}", "label": label, "probability": expected, "tolerance": TOLERANCE})
    if wrong:
        finding = diagnose(classifier.card, classifier.model, evidence)
        raise ModelkitError(
            f"{'; '.join(wrong)}. {finding.detail} {finding.fix} "
            "If the model is simply wrong there, choose other images."
        )
    return cases


def label_only(images: Sequence[Golden], labels: Sequence[str]) -> list[str]:
    """Return a warning for golden cases without a probability, which prove the label only."""
    names = [item.image.name for item in images if read_answer(item.answer, labels)[1] is None]
    if not names:
        return []
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [f"golden case {shown}: {LABEL_ONLY}" if len(names) == 1 else f"golden cases {shown}: each {LABEL_ONLY}"]


def evidence_of(folder: Path, cases: Sequence[GoldenCase]) -> list[Evidence]:
    """Read a card's golden images for `diagnose`."""
    return [Evidence(read_golden(folder, case.image), case.label, case.probability, case.tolerance) for case in cases]


def _free_name(folder: Path, path: Path) -> str:
    """Return a unique name for a golden image: its own, else prefixed by its folder's name, else by a number."""
    candidates = [path.name, f"{path.parent.name}-{path.name}"]
    candidates += [f"{path.stem}-{number}{path.suffix}" for number in range(2, 1002)]
    return next(name for name in candidates if not (folder / name).exists())
