"""Weighted rendezvous hashing: shares, and who moves when weights or arms change."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from loupe.experiment import (
    MAX_ARMS,
    MAX_WEIGHT,
    MAX_WEIGHTS_BYTES,
    Arm,
    ExperimentRules,
    WeightsError,
    _unit,
    choose,
    parse_weights,
)
from loupe.settings import Settings
from loupe.variables import SettingsError

KEYS = [f"user-{number}".encode() for number in range(10_000)]
FEW = KEYS[:100]
NAMES = st.text("abcdefghij0123456789-", min_size=1, max_size=12).map(lambda text: f"a{text}")
WEIGHTS = st.dictionaries(NAMES, st.integers(1, MAX_WEIGHT), min_size=2, max_size=MAX_ARMS)


def assigned(weights, keys=FEW, name="hair"):
    return [choose(name, weights, key) for key in keys]


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 1}, {"a": 90, "b": 10}, {"a": 1, "b": 2, "c": 3}, {f"arm{i}": i for i in range(1, 11)}]
)
@pytest.mark.parametrize("name", ["hair", "second"])
def test_weights_hold_within_one_percent_of_10000_keys(name, weights) -> None:
    counts = Counter(assigned(weights, KEYS, name))
    for arm, weight in weights.items():
        assert abs(counts[arm] / len(KEYS) - weight / sum(weights.values())) <= 0.01


@settings(max_examples=60, deadline=None)
@given(NAMES, WEIGHTS)
def test_shares_are_those_of_the_weights_for_any_names(name, weights) -> None:
    """Within five standard deviations of a fair draw."""
    counts, count = Counter(assigned(weights, KEYS[:1000], name[:32])), 1000
    for arm, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(counts[arm] - count * share) <= 5 * math.sqrt(count * share * (1 - share)) + 3


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, st.data())
def test_a_changed_weight_moves_keys_only_from_or_to_its_arm(weights, data) -> None:
    arm, weight = data.draw(st.sampled_from(sorted(weights))), data.draw(st.integers(0, MAX_WEIGHT))
    for before, after in zip(assigned(weights), assigned({**weights, arm: weight}), strict=True):
        if before != after:
            assert (after if weight > weights[arm] else before) == arm


@settings(max_examples=60, deadline=None)
@given(WEIGHTS, NAMES, st.integers(1, MAX_WEIGHT))
def test_a_new_arm_takes_keys_and_moves_no_other(weights, name, weight) -> None:
    assume(name not in weights)
    for before, after in zip(assigned(weights), assigned({**weights, name: weight}), strict=True):
        assert after in (before, name)


@settings(max_examples=30, deadline=None)
@given(WEIGHTS, st.integers(2, 9), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_arms_nor_a_common_factor_matters(weights, factor, random) -> None:
    items = list(weights.items())
    random.shuffle(items)
    assert assigned(dict(items)) == assigned(weights)
    assert assigned({arm: factor * weight for arm, weight in items}) == assigned(weights)


def test_a_paused_arm_gets_no_key_and_the_others_keep_theirs() -> None:
    before, after = assigned({"a": 5, "b": 3, "c": 2}), assigned({"a": 5, "b": 0, "c": 2})
    assert "b" not in after
    assert all(new == old for old, new in zip(before, after, strict=True) if old != "b")


def test_two_experiments_split_the_same_callers_independently() -> None:
    both = Counter(zip(assigned({"a": 1, "b": 1}, KEYS, "one"), assigned({"a": 1, "b": 1}, KEYS, "two"), strict=True))
    assert all(abs(count / len(KEYS) - 0.25) <= 0.02 for count in both.values())
    assert len(both) == 4


def test_assignments_stay_the_same_between_releases() -> None:
    """Another hash would move every caller of a running experiment."""
    weights = {"a": 60, "b": 30, "c": 10}
    assert "".join(assigned(weights, KEYS[:40])) == "aabaabbaaabaaabbaaababaaacaabababaaaacaa"


@pytest.mark.parametrize("digest", [b"", b"x" * 32, bytes(64)])
def test_hashes_lie_between_0_and_1(digest) -> None:
    assert all(0 < _unit(f"arm{number}", digest) < 1 for number in range(200))


def test_the_extreme_hashes_have_finite_scores(monkeypatch) -> None:
    class Extreme:
        def __init__(self, *_, key=b"", digest_size=8):
            self.value = bytes([self.byte]) * digest_size

        def digest(self):
            return self.value

    for byte in (0, 255):
        monkeypatch.setattr(Extreme, "byte", byte, raising=False)
        monkeypatch.setattr("loupe.experiment.hashlib.blake2b", Extreme)
        assert 0 < _unit("a", b"") < 1
        assert math.isfinite(-1 / math.log(_unit("a", b"")))
        assert choose("hair", {"b": 1, "a": 1}, b"") == "b"


def test_weights_are_parsed_in_the_order_of_the_arms() -> None:
    assert list(parse_weights('{"b": 10, "a": 0}', ["a", "b"]).items()) == [("a", 0), ("b", 10)]


@pytest.mark.parametrize(
    "text",
    ["", "90", "[]", '[["a", 1], ["b", 2]]', "{}", '{"a": 1}', '{"a": 1, "b": 1, "c": 1}', '{"a": 1, "a": 2}',
     '{"a": 1, "b": 1, "b": 2}', '{"a": -1, "b": 2}', '{"a": 0, "b": 0}', '{"a": true, "b": 1}', '{"a": 1.5, "b": 1}',
     '{"a": "1", "b": 1}', '{"a": null, "b": 1}', '{"a": {"x": 1}, "b": 1}', '{"a": NaN, "b": 1}',
     '{"a": 1e999, "b": 1}',
     f'{{"a": {MAX_WEIGHT + 1}, "b": 1}}', f'{{"a": {"9" * 900}, "b": 1}}', "[" * 1000, '{"a": ' * 150,
     json.dumps({"a": 1, "b": 1}) + " " * MAX_WEIGHTS_BYTES, "\ud800"],
)  # fmt: skip
def test_other_weights_are_rejected(text) -> None:
    with pytest.raises(WeightsError):
        parse_weights(text, ["a", "b"])


@given(st.text(max_size=80) | st.from_regex(r'\{("[ab]": -?[0-9]{1,5}(, )?){0,3}\}', fullmatch=True))
def test_any_text_gives_weights_or_an_error(text) -> None:
    try:
        weights = parse_weights(text, ["a", "b"])
    except WeightsError:
        return
    assert choose("hair", weights, b"key") in weights


VARIABLES = {"LOUPE_MODEL": "tiny", "LOUPE_MODELS": "tiny,other", "LOUPE_EXPERIMENT": "hair",
             "LOUPE_EXPERIMENT_ARMS": "a=tiny:90,b=other:10", "LOUPE_EXPERIMENT_KEY": "source-address"}  # fmt: skip


def read(**changes):
    variables = {**VARIABLES, **{f"LOUPE_EXPERIMENT{name}": value for name, value in changes.items()}}
    return Settings.from_environment(variables, Path("models")).experiment


def test_the_rules_are_read_from_variables() -> None:
    arms = (Arm("a", "tiny", 90), Arm("b", "other", 10))
    assert read() == ExperimentRules("hair", arms, "source-address")
    more = read(_KEY="header", _HEADER="x-user-id", _OVERRIDE="true", _PARAMETER="/p", _REFRESH_SECONDS="90")
    assert more == ExperimentRules("hair", arms, "header", "x-user-id", True, "/p", 90)
    assert (more.weights, more.model_of("b")) == ({"a": 90, "b": 10}, "other")
    assert Settings.from_environment({}, Path("models")).experiment is None


@pytest.mark.parametrize(
    "changes",
    [
        {"": "Hair"},
        {"": "a" * 33},
        {"_ARMS": ""},
        {"_ARMS": "a=tiny:1"},
        {"_ARMS": "a=tiny:1,a=other:1"},
        {"_ARMS": "a=tiny:1,b=third:1"},
        {"_ARMS": "a=tiny:0,b=other:0"},
        {"_ARMS": "a=tiny:1,b=other:00"},
        {"_ARMS": "a=tiny:1,b=other:10001"},
        {"_ARMS": "a=tiny:1,b=other:1,x"},
        {"_ARMS": ",".join(f"a{number}=tiny:1" for number in range(11))},
        {"_KEY": ""},
        {"_KEY": "cookie"},
        {"_KEY": "header"},
        {"_HEADER": "x-user-id"},
        {"_KEY": "header", "_HEADER": "X-User"},
        {"_OVERRIDE": "yes"},
        {"_REFRESH_SECONDS": "29"},
    ],
)
def test_wrong_variables_stop_the_cold_start(changes) -> None:
    with pytest.raises(SettingsError, match="LOUPE_EXPERIMENT"):
        read(**changes)
