"""Cards: parsed values, and for every mistake a sentence that names the key and the fix."""

from __future__ import annotations

import copy
import json
from enum import Enum
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tinymodel
from loupe import card as cards
from loupe import input_spec as inputs
from loupe.card import CardError, InputSpec, Resize, load_card, parse_card

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "models" / "card.schema.json").read_text())
REMOVED = Enum("Marker", ["REMOVED"]).REMOVED
DIGEST = "0" * 64


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the tiny model's card with one key set, or removed."""
    raw = copy.deepcopy(tinymodel.card())
    raw["golden"] = [{"image": "golden/red.png", "label": "red", "probability": 0.9}]
    place: Any = raw
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return raw


def parse(raw: Any) -> cards.Card:
    return parse_card(raw, Path("tiny"))


def test_few_formats_are_enabled_by_default() -> None:
    card = parse(tinymodel.card())
    assert (card.name, card.version, card.variant, card.description) == ("tiny", "1.0.0", "fp32", "tiny")
    assert card.input == InputSpec(
        "input", 20, 20, "NCHW", "float32", "RGB", Resize("bilinear", "stretch", None, (0, 0, 0)), 0, "ignore",
        1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0),
    )  # fmt: skip
    assert card.input.shape == (3, 20, 20)
    assert (card.output.kind, card.output.labels, card.output.temperature, card.output.size) == (
        "logit", ("blue", "red"), 1.0, 1,
    )  # fmt: skip
    assert card.graph_path == Path("tiny/model.onnx")
    assert card.golden == ()


def test_every_field_of_a_card_is_parsed() -> None:
    raw = tinymodel.card(
        variant="int8-static",
        description="Red or blue.",
        input={"width": 224, "height": 192, "layout": "NHWC", "color": "BGR", "scale": 0.5, "mean": [1, 2, 3],
               "std": [4, 5, 6], "resize": {"filter": "bicubic", "fit": "crop", "shortest": 256},
               "jpeg_draft": 2, "icc": "srgb"},
        output={"kind": "logits", "labels": ["a", "b", "c"], "temperature": 1.5},
        golden=[{"image": "golden/a.jpg", "label": "a", "probability": 0.5, "tolerance": 0.1}],
        evaluation={"accuracy": 0.9},
    )  # fmt: skip
    card = parse(raw)
    assert card.input.shape == (192, 224, 3)
    assert card.input.resize == Resize("bicubic", "crop", 256)
    assert card.input.std == (4.0, 5.0, 6.0)
    assert card.output.size == 3
    assert card.golden[0].tolerance == 0.1
    assert card.raw["evaluation"] == {"accuracy": 0.9}
    jsonschema.validate(raw, SCHEMA)


def test_a_grey_model_has_one_mean() -> None:
    card = parse(tinymodel.card(input={"color": "L", "mean": [0.5], "std": [0.5]}))
    assert (card.input.channels, card.input.shape) == (1, (1, 20, 20))


# Path, value, what the sentence says, and whether the JSON Schema sees the mistake too.
BAD: list[tuple[str, Any, str, bool]] = [
    ("name", REMOVED, "name is missing", True),
    ("name", "", "name must be a text", True),
    ("name", "Hair Type", "name is 'Hair Type' but must be lower-case", True),
    ("name", "../x", "name is '../x'", True),
    ("name", 3, "name must be a text, not a number", True),
    ("version", REMOVED, "version is missing", True),
    ("version", "1.0", "version is '1.0' but must be three numbers", True),
    ("versoin", "1.0.0", "versoin is not a known key", True),
    ("files", [], "files must list", True),
    ("files", {}, "files must be a list, not an object", True),
    ("files.0.path", "/etc/passwd", "must stay inside the model's folder", True),
    ("files.0.path", "a/../../b", r"files\[0\].path is .* must stay inside", True),
    ("files.0.path", "a\\b", "must stay inside", True),
    ("files.0.sha256", "ABC", "must be 64 lower-case hex digits", True),
    ("files.0.sha256", REMOVED, "sha256 is missing: give it, or git_blob_sha1", True),
    ("files.0.bytes", 0, "must be a whole number of at least 1, not 0", True),
    ("files.0.bytes", True, "must be a whole number", True),
    ("files.0.size", 1, r"files\[0\].size is not a known key", True),
    ("graph", "other.onnx", "graph is 'other.onnx', which is not among the card's files", False),
    ("input", REMOVED, "input is missing", True),
    ("input", [], "input must be an object, not a list", True),
    ("input.name", REMOVED, "input.name is missing", True),
    ("input.width", REMOVED, "input.width is missing", True),
    ("input.width", 0, "input.width must be a whole number of at least 1", True),
    ("input.width", 20.5, "input.width must be a whole number", True),
    ("input.height", "20", "input.height must be a whole number", True),
    ("input.layout", "CHW", "input.layout is 'CHW' but must be one of NCHW, NHWC", True),
    ("input.color", "rgb", "must be one of RGB, BGR, L", True),
    ("input.dtype", "int8", "must be one of float32, float16, float64, uint8", True),
    ("input.dtype", "uint8", "takes pixels as they are", True),
    ("input.scale", 0, "input.scale must not be 0", True),
    ("input.scale", "1/0", "input.scale must be a finite number", True),
    ("input.scale", "0.5", "input.scale must be a finite number", True),
    ("input.scale", None, "input.scale is missing", True),
    ("input.scale", True, "input.scale must be a finite number, not true or false", True),
    ("input.scale", 10**400, "input.scale must be a finite number", False),
    ("input.mean", [0.5], "must be a list of 3 number", True),
    ("input.mean", [0.5, 0.5, "x"], "input.mean must be a finite number, not a text", True),
    ("input.mean", 0.5, "must be a list of 3 number", True),
    ("input.std", [1, 1, 0], "input.std must be positive", True),
    ("input.std", [1, 1, 1e-310], "input.std is too small", False),
    ("input.jpeg_draft", 0.5, "must be 0 \\(off\\) or at least 1", True),
    ("input.jpeg_draft", -1, "must be 0 \\(off\\) or at least 1", True),
    ("input.icc", "p3", "input.icc is 'p3' but must be one of ignore, srgb", True),
    ("input.resize.filter", "cubic", "input.resize.filter is 'cubic' but must be one of nearest", True),
    ("input.resize.fit", "cover", "input.resize.fit is 'cover'", True),
    ("input.resize.shortest", 256, "belongs to fit 'crop' only", True),
    ("input.resize", {"fit": "crop", "shortest": 19}, "must be at least 20", False),
    ("input.resize", {"fit": "crop", "pad_color": [0, 0, 0]}, "belongs to fit 'pad' only", True),
    ("input.resize", {"fit": "pad", "pad_color": [0, 0, 256]}, "three whole numbers from 0 to 255", True),
    ("input.resize", {"fit": "pad", "pad_color": [0, 0]}, "must be a list of 3", True),
    ("input.size", 20, "input.size is not a known key", True),
    ("output", REMOVED, "output is missing", True),
    ("output.kind", REMOVED, "output.kind is missing", True),
    ("output.kind", "sigmoid", "output.kind is 'sigmoid' but must be one of logit", True),
    ("output.labels", ["one"], "output.labels must list at least 2", True),
    ("output.labels", ["a", "a"], "output.labels must differ", True),
    ("output.labels", ["a", "b", "c"], "must be two for kind 'logit', not 3", True),
    ("output.labels", ["a", ""], "output.labels must be a list of texts", True),
    ("output.labels", "ab", "output.labels must be a list of texts", True),
    ("output.temperature", 0, "output.temperature must be positive", True),
    ("output", {"name": "o", "kind": "probability", "labels": ["a", "b"], "temperature": 2}, "already a prob", True),
    ("golden.0.label", "green", "is 'green', which is not one of the output's labels", False),
    ("golden.0.probability", 1.5, r"golden\[0\] needs a probability from 0 to 1", True),
    ("golden.0.tolerance", 0, r"golden\[0\] needs .* a tolerance above 0", True),
    ("golden.0.image", REMOVED, r"golden\[0\].image is missing", True),
    ("golden", [3], r"golden\[0\] must be an object, not a number", True),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "sentence", "schema_rejects"), BAD, ids=lambda value: str(value)[:30])
def test_bad_card_raises_a_clear_message(path: str, value: Any, sentence: str, schema_rejects: bool) -> None:
    raw = changed(path, value)
    with pytest.raises(CardError, match=sentence) as caught:
        parse(raw)
    assert str(caught.value).startswith("card.json of 'tiny': ")
    assert str(caught.value).endswith(".")
    rejected = not jsonschema.Draft202012Validator(SCHEMA).is_valid(raw)
    assert rejected == schema_rejects


@pytest.mark.parametrize("raw", [None, [], "card", 3, True])
def test_a_card_is_an_object(raw: Any) -> None:
    with pytest.raises(CardError, match="it must be an object"):
        parse(raw)


def test_missing_card_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"card\.json is missing: every model has a folder"):
        load_card(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b""])
def test_body_that_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(CardError, match="is not valid JSON"):
        load_card(tmp_path)


def test_the_schema_and_the_reader_have_the_same_keys_and_words() -> None:
    properties = SCHEMA["properties"]
    documented, expected = properties["input"]["properties"], set(InputSpec._fields)
    assert set(documented) == expected
    words = {
        "layout": inputs.LAYOUTS, "dtype": inputs.DTYPES, "color": inputs.COLORS, "icc": inputs.ICC,
        "exif": inputs.EXIF, "grey": inputs.GREYS,
    }  # fmt: skip
    for key, allowed in words.items():
        assert tuple(documented[key]["enum"]) == allowed
        assert documented[key]["default"] == InputSpec._field_defaults[key]
    resize = documented["resize"]["properties"]
    assert set(resize) == set(Resize._fields)
    choices = {"filter": inputs.FILTERS, "fit": inputs.FITS, "align": inputs.ALIGNS, "crop_offset": inputs.CROP_OFFSETS}
    for key, allowed in choices.items():
        assert tuple(resize[key]["enum"]) == allowed
        assert resize[key]["default"] == Resize._field_defaults[key]
    assert tuple(properties["output"]["properties"]["kind"]["enum"]) == cards.KINDS
    assert properties["name"]["pattern"] == f"^{cards.NAME_PATTERN.pattern}$"
    assert properties["version"]["pattern"] == f"^{cards.VERSION_PATTERN.pattern}$"
    for key in properties:
        value = {} if properties[key]["type"] == "object" else [] if properties[key]["type"] == "array" else "1.0.0"
        if key not in tinymodel.card():
            parse(tinymodel.card(**{key: value}))


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*/card.json")), ids=lambda path: path.parent.name)
def test_the_cards_that_ship(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    assert load_card(path.parent).name == path.parent.name
