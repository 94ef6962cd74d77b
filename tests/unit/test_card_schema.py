"""The two validators of cards, card.schema.json and loupe.card, reject the same cards."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loupe.card import CardError, parse_card

from modelkit.schema import validator, violations

MODELS = Path(__file__).parents[2] / "models"
# What serving does not read is for the schema alone.
UNREAD = ("$schema", "evaluation", "release", "quantization", "training", "provenance", "license")
COLOR: dict[str, Any] = {
    "name": "hair",
    "version": "1.2.3",
    "variant": "fp32",
    "description": "Curly or straight.",
    "graph": "model.onnx",
    "files": [
        {
            "path": "model.onnx",
            "sha256": "a" * 64,
            "bytes": 9,
            "urls": ["https://example.com/model.onnx"],
            "git_blob_sha1": "b" * 40,
        }
    ],
    "input": {
        "name": "input",
        "width": 200,
        "height": 100,
        "layout": "NCHW",
        "dtype": "float32",
        "color": "BGR",
        "resize": {"filter": "bilinear", "fit": "crop", "shortest": 256},
        "jpeg_draft": 2,
        "icc": "ignore",
        "exif": "ignore",
        "flatten": False,
        "scale": "1/255",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
    },
    "output": {"name": "output", "kind": "logit", "labels": ["curly", "straight"], "temperature": 1.5},
    "golden": [{"image": "golden/1.jpg", "label": "curly", "probability": 0.9, "tolerance": 0.02}],
}
GREY: dict[str, Any] = {
    "name": "digits",
    "version": "0.1.0",
    "files": [{"path": "model.onnx", "git_blob_sha1": "b" * 40}],
    "input": {
        "name": "x",
        "width": 28,
        "height": 28,
        "dtype": "uint8",
        "color": "L",
        "resize": {"fit": "pad", "pad_color": [255, 255, 255], "align": "top-left"},
        "scale": 1,
        "mean": [0],
        "std": [1],
    },
    "output": {"name": "y", "kind": "probabilities", "labels": ["0", "1", "2"], "temperature": 1},
    "golden": [],
}
SQUEEZED: dict[str, Any] = COLOR | {
    "input": {
        "name": "x",
        "width": 200,
        "height": 100,
        "layout": "NHW",
        "color": "L",
        "grey": "average",
        "flatten": True,
        "jpeg_draft": 0,
        "scale": "-1/255",
        "mean": [-1],
        "resize": {
            "filter": "bilinear", "antialias": False, "fit": "crop", "size": [256, 256], "crop_offset": "floor",
            "crop_first": False,
        },
    },
}  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -1, 0.5, 2.5, 3, 1000, 1e9, "", "x", "1/255", "1/0", "1/1", "1.0.0", "Hair", "a/../b",
    "../x", "/etc", "a\\b", "a" * 64, "b" * 40, "http://example.com", "https://example.com", [], ["a"], ["a", "b"],
    ["a", "a"], ["a", "b", "c"], [0], [1], [0, 0, 0], [1, 1, 1], [1, 2, 300], [-1, 0, 1], [0.5, 0.5, 0.5], [None], {},
    {"a": 1},
    "NCHW", "NHWC", "NHW", "float16", "uint8", "float64", "int32", "int8", "-1/255", "--1/255", "-1/0", [300, 300],
    [256.0, 256], [256, 0], [256, 9000], "apply", "ignore", "luma", "average", "floor", "round", "center", "top-left",
    "RGB", "L", "nearest", "crop", "pad", "stretch", "srgb",
    "logit", "logits", "probability", "probabilities", "curly",
]  # fmt: skip


def by_schema(card: Any) -> bool:
    return validator().is_valid(card)


def by_code(card: Any) -> bool:
    try:
        parse_card(card, Path("hair"))
    except CardError:
        return False
    return True


def across_fields(card: Any) -> bool:
    """Rules that compare two keys of a card are beyond JSON Schema: only the code checks them."""
    try:
        spec, output = card["input"], card["output"]
        return (
            spec.get("resize", {}).get("shortest", math.inf) < max(spec["width"], spec["height"])
            or _squeezed_below_the_crop(spec)
            or card.get("graph", "model.onnx") not in [file["path"] for file in card["files"]]
            or any(case["label"] not in output["labels"] for case in card.get("golden", []))
        )
    except (TypeError, KeyError, AttributeError, ValueError):
        return False


def _squeezed_below_the_crop(spec: Any) -> bool:
    width, height = spec.get("resize", {}).get("size", (math.inf, math.inf))
    return bool(width < spec["width"] or height < spec["height"])


def agree(card: Any) -> None:
    if across_fields(card):
        assert not by_code(card)
    else:
        assert by_schema(card) == by_code(card), violations(card) or "only the code rejects it"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def _copied_along(card: dict[str, Any], path: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    """Return a card that shares all but the containers along the path, and the innermost of these."""
    result = inner = card.copy()
    for key in path[:-1]:
        inner[key] = inner[key].copy()
        inner = inner[key]
    return result, inner


def changed(card: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    result, inner = _copied_along(card, path)
    inner[path[-1]] = value
    return result


def without(card: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    result, inner = _copied_along(card, path)
    del inner[path[-1]]
    return result


@pytest.mark.parametrize("card", [COLOR, GREY, SQUEEZED], ids=["color", "grey", "squeezed"])
def test_both_accept_a_valid_card(card: dict[str, Any]) -> None:
    assert by_code(card)
    assert by_schema(card), violations(card)


@pytest.mark.parametrize("card", [COLOR, GREY, SQUEEZED], ids=["color", "grey", "squeezed"])
def test_any_value_in_any_place_is_judged_alike(card: dict[str, Any]) -> None:
    for path in places(card):
        if card is SQUEEZED and path[0] != "input":
            continue  # the rest is COLOR's
        for value in VALUES:
            agree(changed(card, path, value))


@pytest.mark.parametrize("card", [COLOR, GREY, SQUEEZED], ids=["color", "grey", "squeezed"])
def test_any_missing_or_added_key_is_judged_alike(card: dict[str, Any]) -> None:
    for path in places(card):
        agree(without(card, path))
        if isinstance(path[-1], str):
            agree(changed(card, (*path[:-1], "extra"), 1))


@given(st.data())
def test_any_two_changes_are_judged_alike(data: st.DataObject) -> None:
    card = data.draw(st.sampled_from([COLOR, GREY, SQUEEZED]))
    for _ in range(2):
        path = data.draw(st.sampled_from(list(places(card))))
        card = changed(card, path, data.draw(st.sampled_from(VALUES)))
    agree(card)
    assert bool(violations(card)) != by_schema(card)


def test_parts_that_serving_ignores_are_checked_by_the_schema() -> None:
    for key in UNREAD:
        card = changed(COLOR, (key,), 1)
        assert by_code(card)
        assert not by_schema(card), key


def test_the_schema_describes_every_key() -> None:
    schema = json.loads((MODELS / "card.schema.json").read_bytes())

    def described(part: dict[str, Any]) -> Iterator[str]:
        for name, value in part.get("properties", {}).items():
            if "description" not in value:
                yield name
            yield from described(value)
            yield from described(value.get("items", {}))

    assert not list(described(schema))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/card.json")), ids=lambda path: path.parent.name)
def test_the_cards_of_the_project_fit(path: Path) -> None:
    card = json.loads(path.read_bytes())
    assert violations(card) == []
    assert by_code(card)
