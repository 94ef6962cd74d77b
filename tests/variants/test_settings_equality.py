"""Settings: what synth accepts, the function accepts and reads as the same value; what synth rejects, it rejects."""

from __future__ import annotations

import inspect
import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loupe.experiment import Arm, ExperimentRules
from loupe.formats import FORMATS
from loupe.settings import Settings as FunctionSettings
from loupe.variables import SettingsError as FunctionSettingsError
from pydantic import BaseModel

from infra import settings as infra_settings
from infra.components import experiment as experiments
from infra.components.classifier_function import variables
from infra.experiment_weights import parameter_name
from infra.settings import SettingsError, load_settings
from infra.settings.messages import _section
from tests.infra.synthesis import ROOT, Synthesized, synthesize

FUNCTION = ROOT / "function"
MIB = 1024 * 1024
# Read by the function and written by other parts than `infra.settings`.
NOT_SETTINGS = {
    "LOUPE_MODELS_DIR",  # the image's folder; tests and the local cloud name another
    "LOUPE_INITIALIZATION",  # set by loupe.restart for the process that follows
    "LOUPE_THREADS",  # follows the memory
    "LOUPE_S3_TIMEOUT_SECONDS",  # fixed
    "LOUPE_UPLOAD_BUCKET",  # the name that CloudFormation chose
    "LOUPE_JOBS",  # whether the stack has bulk jobs
    "LOUPE_SHADOW_FUNCTION_ARN",  # of a shadow test: test_shadow.py
    "LOUPE_METRICS_BY_RELEASE",  # whether releases shift traffic
}
# Read by the bulk, the jobs and the release functions, and by both sides of a shadow test: they have variables of
# their own.
OTHER_FUNCTIONS = ("bulk", "jobs", "release", "shadow")


def _numbers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low - 5, high + 5) | st.sampled_from([low - 1, low, high, high + 1, 0, -1])


_LABELS = st.text("ab09-_.*A/ :?$ü,", max_size=8)
HOSTS = st.one_of(
    _LABELS,
    st.sampled_from(
        ["images.example.com", "*.example.org", "192.0.2.7", "https://example.com/", "a.example.com, evil.com", "",
         " ", "Example.com", "*", "*.", "a..b", "a.", "localhost", "a" * 64, "a." * 127 + "a", "a." * 126 + "a"]
    ),
)  # fmt: skip
ORIGINS = st.one_of(
    st.builds("{}://{}{}".format, st.sampled_from(["http", "https", "HTTPS", "ftp"]), HOSTS, st.just("")),
    st.builds("https://example.com:{}".format, st.integers(-1, 10_000_000) | st.sampled_from([80, 443, 65535, 65536])),
    st.builds("http://localhost:{}".format, st.sampled_from(["080", "80", "5173", "", "x", "٣"])),
    st.sampled_from(["*", "", "null", "http://[::1]:3000", "https://example.com/", "https://Example.com"]),
)
NETWORKS = st.one_of(
    st.builds("{}.0.0.{}/{}".format, st.integers(0, 256), st.integers(0, 2), st.integers(0, 33)),
    st.sampled_from(
        ["10.0.0.0/8", "127.0.0.53/32", "::1", "fd00::/8", "fe80::%eth0/64", "::/0", "", "x", "10.0.0.0/8 "]
    ),
)
LOCATIONS = st.one_of(
    st.builds("{}/{}".format, st.sampled_from(["photos", "Photos", "ab", "p.q-r"]), _LABELS),
    st.builds("{}/{}/".format, st.sampled_from(["photos", "a" * 64]), _LABELS),
    st.sampled_from(["photos", "photos/", "photos//", "photos/a/b/", "photos/\n/", "photos/?/", "photos/${x}/", ""]),
)
SECONDS = st.floats(-1, 25, allow_nan=False) | st.sampled_from([0.0, 1e-9, 5.123456789, 20.0, 20.000001])
PORTS = st.lists(st.sampled_from([80, 443, 8443]) | _numbers(1, 65535), max_size=3)


def _lists(items: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(items, max_size=3)


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "policy": st.sampled_from(["off", "allow-list", "public"]),
        "hosts": _lists(HOSTS),
        "schemes": _lists(st.sampled_from(["https", "http", "ftp"])),
        "ports": PORTS,
        "private_networks": _lists(NETWORKS),
        "timeout_seconds": SECONDS,
    },
)
# One strategy for each part that is checked by itself.
PARTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    # With the longest timeout of the function, which the function does not compare with the one for URLs.
    "inputs.url": VALUES.map(lambda url: {"inputs": {"url": url}, "function": {"timeout_seconds": 28}}),
    "inputs.s3.locations": _lists(LOCATIONS).map(lambda locations: {"inputs": {"s3": {"locations": locations}}}),
    "inputs.max_image_bytes": _numbers(1024, 100 * MIB).map(lambda number: {"inputs": {"max_image_bytes": number}}),
    "inputs.max_image_pixels": _numbers(10_000, 200_000_000).map(lambda n: {"inputs": {"max_image_pixels": n}}),
    "inputs.formats": st.lists(st.sampled_from([*FORMATS, "JPEG", "jpg", "svg", ""]), max_size=4).map(
        lambda formats: {"inputs": {"formats": formats}}
    ),
    # Lists that synth accepts; what it rejects is in test_infra_settings.py: variables cannot express all of it.
    "models": st.lists(
        st.fixed_dictionaries(
            {"name": st.text("ab9._-", min_size=1, max_size=4).filter(lambda name: name[0] in "ab9")},
            optional={"load": st.sampled_from(["init", "first-use"])},
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda model: model["name"],
    ).map(lambda models: {"models": [*models[1:], {"name": "hair-type"}, models[0]]}),
    "experiment": st.fixed_dictionaries(
        {
            "name": st.sampled_from(["hair", "a-9", "a" * 32, "a" * 33]) | st.text("aZ9-_", min_size=1, max_size=4),
            "arms": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.text("ab", min_size=1, max_size=3) | st.text("ab9-A", min_size=1, max_size=2),
                        "model": st.sampled_from(["hair-type"] * 4 + ["second"] * 4 + ["none"]),
                        "weight": st.integers(0, 10_000) | _numbers(0, 10_000),
                    }
                ),
                min_size=1,
                max_size=4,
            )
            | st.integers(9, 12).map(
                lambda count: [{"name": f"a{number}", "model": "second", "weight": 1} for number in range(count)]
            ),
            "key": st.sampled_from(["header", "api-key", "source-address", "image-content", "cookie"]),
        },
        optional={
            "header": st.sampled_from(["X-User-Id", "x", "X_User", "9x", "a" * 64, "a" * 65]),
            "override": st.booleans(),
            "refresh_seconds": _numbers(30, 3600),
        },
    ).map(
        lambda values: {
            "experiment": {**values, "live_weights": "refresh_seconds" in values},
            "models": [{"name": "hair-type"}, {"name": "second"}],
        }
    ),
    "cache.memory_mib": _numbers(0, 1024).map(
        lambda n: {"cache": {"memory_mib": n}, "function": {"memory_mib": 10240}}
    ),
    "inputs.max_batch": _numbers(1, 256).map(lambda number: {"inputs": {"max_batch": number}}),
    "inputs.uploads.valid_seconds": _numbers(60, 3600).map(lambda n: {"inputs": {"uploads": {"valid_seconds": n}}}),
    "api.cors_origins": _lists(ORIGINS).map(lambda origins: {"api": {"cors_origins": origins}}),
    "function.log_level": st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR", "debug", "LOUD", ""]).map(
        lambda level: {"function": {"log_level": level}}
    ),
    "function.metrics": st.fixed_dictionaries({"max_labels": _numbers(0, 1000), "by_version": st.booleans()}).map(
        lambda metrics: {"function": {"metrics": metrics}}
    ),
    "model.name": (st.text("ab9._-/A ", max_size=5) | st.just("a" * 64)).map(lambda name: {"model": {"name": name}}),
}


def _unchecked(kind: type[BaseModel], values: dict[str, Any]) -> Any:
    """The settings as they would be if nothing were checked: what a value that synth rejects would become."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        section = _section(kind.model_fields[name].annotation)
        if isinstance(value, list):
            fields[name] = tuple(item if section is None else _unchecked(section, item) for item in value)
        else:
            fields[name] = value if section is None else _unchecked(section, value)
    return kind.model_construct(**fields)


def _environment(parsed: infra_settings.Settings) -> dict[str, str]:
    """The variables that the stack gives to the function."""
    of_experiment = {} if parsed.experiment is None else experiments.variables(parsed.experiment, parsed.environment)
    return (
        of_experiment
        | variables(
            environment=parsed.environment,
            model=parsed.model.name,
            function=parsed.function,
            inputs=parsed.inputs,
            cache=parsed.cache,
            others=[item for item in parsed.models if item.name != parsed.model.name],
            cors_origins=parsed.api.cors_origins,
        )
        | {"LOUPE_UPLOAD_SECONDS": str(parsed.inputs.uploads.valid_seconds)}
    )


def _blank(values: Any) -> bool:
    """Whether a text or a list is empty: as a variable it would be one that is not set, which has a default."""
    if isinstance(values, dict):
        return any(map(_blank, values.values()))
    return values in ("", []) or (isinstance(values, list) and not any(str(item).strip(" ,") for item in values))


def _has_separator(values: Any) -> bool:
    if isinstance(values, dict):
        return any(map(_has_separator, values.values()))
    items = values if isinstance(values, list) else [values]
    return any(isinstance(item, str) and ("," in item or item != item.strip() or not item) for item in items)


def _compare(values: dict[str, Any]) -> None:
    context = {"environments": {"prod": values}}
    try:
        accepted: infra_settings.Settings | None = load_settings(context, "prod")
    except SettingsError:
        accepted = None
    parsed = accepted or _unchecked(infra_settings.Settings, {**values, "environment": "prod"})
    try:
        read: FunctionSettings | None = FunctionSettings.from_environment(_environment(parsed), Path("models"))
    except FunctionSettingsError:
        read = None
    if accepted is None:
        # A list of nothing or an item with a comma cannot be told from other values in a variable: synth rejects it.
        assert read is None or _blank(values) or _has_separator(values), values
        return
    assert read is not None, values
    url, inputs = accepted.inputs.url, accepted.inputs
    assert read == read._replace(
        environment="prod",
        model=accepted.model.name,
        url=type(read.url)(
            url.policy,
            url.hosts,
            url.schemes,
            url.ports,
            tuple(map(ipaddress.ip_network, url.private_networks)),
            url.timeout_seconds,
        ),
        s3=read.s3._replace(
            locations=tuple(type(read.s3.locations[0])(*item.split("/", 1)) for item in inputs.s3.locations),
            upload_seconds=inputs.uploads.valid_seconds,
        ),
        limits=read.limits._replace(
            max_bytes=inputs.max_image_bytes, max_pixels=inputs.max_image_pixels, formats=inputs.formats
        ),
        max_batch=inputs.max_batch,
        cors_origins=accepted.api.cors_origins,
        log_level=accepted.function.log_level,
        models=accepted.served if accepted.models else (),
        models_at_first_use=tuple(item.name for item in accepted.models if item.load == "first-use"),
        experiment=_rules(accepted),
        cache_bytes=accepted.cache.memory_mib * MIB,
        metrics=type(read.metrics)(accepted.function.metrics.max_labels, accepted.function.metrics.by_version),
    )


def _rules(parsed: infra_settings.Settings) -> ExperimentRules | None:
    settings = parsed.experiment
    if settings is None:
        return None
    arms = tuple(Arm(arm.name, arm.model, arm.weight) for arm in settings.arms)
    parameter = parameter_name(parsed.environment) if settings.live_weights else ""
    header = (settings.header or "").lower()
    return ExperimentRules(
        settings.name, arms, settings.key, header, settings.override, parameter, settings.refresh_seconds
    )


@pytest.mark.parametrize("part", PARTS)
def test_synth_and_function_accept_and_reject_the_same_values(part: str) -> None:
    @settings(max_examples=400, deadline=None)
    @given(PARTS[part])
    def compare(values: dict[str, Any]) -> None:
        _compare(values)

    compare()


@pytest.mark.parametrize(
    "values",
    [
        {"api": {"cors_origins": ["https://Example.com"]}},
        {"api": {"cors_origins": ["https://example.com:1234567"]}},
        {"api": {"cors_origins": ["https://example.com:443"]}},
        {"api": {"cors_origins": ["https://example.com/"]}},
        {"api": {"cors_origins": ["https://-.example.com"]}},
        {"inputs": {"url": {"policy": "allow-list", "hosts": [""]}}},
        {"inputs": {"url": {"policy": "allow-list", "hosts": ["https://example.com/"]}}},
        {"inputs": {"url": {"policy": "allow-list", "hosts": ["a.example.com, evil.com"]}}},
        {"inputs": {"url": {"policy": "allow-list", "hosts": ["Example.com"]}}},
        {"inputs": {"url": {"policy": "public", "schemes": []}}},
        {"inputs": {"url": {"policy": "public", "ports": []}}},
        {"inputs": {"url": {"policy": "public", "schemes": ["http"], "ports": [443]}}},
        {"inputs": {"url": {"policy": "public", "schemes": ["https", "http"], "ports": [443]}}},
        {"inputs": {"url": {"policy": "public", "private_networks": ["127.0.0.0/8"]}}},
        {"inputs": {"max_batch": 101}},
        {"inputs": {"s3": {"locations": ["photos/?/"]}}},
        {"inputs": {"s3": {"locations": ["photos/${aws:username}/"]}}},
    ],
)
def test_values_that_only_the_function_rejected_are_rejected_at_synth(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        load_settings({"environments": {"prod": values}}, "prod")
    _compare(values)


def test_http_urls_bring_their_default_port() -> None:
    url = {"policy": "public", "schemes": ["https", "http"]}
    assert load_settings({"environments": {"prod": {"inputs": {"url": url}}}}, "prod").inputs.url.ports == (443, 80)


def test_a_timeout_is_read_to_the_last_digit() -> None:
    values = {"inputs": {"url": {"policy": "public", "timeout_seconds": 5.123456789}}}
    parsed = load_settings({"environments": {"prod": values}}, "prod")
    assert FunctionSettings.from_environment(_environment(parsed), Path()).url.timeout_seconds == 5.123456789


def test_variables_above_lambdas_size_limit_are_rejected_at_synth() -> None:
    def hosts(number: int) -> infra_settings.Settings:
        names = [f"images-{index:02}.example.com" for index in range(number)]
        values = {"inputs": {"url": {"policy": "allow-list", "hosts": names}}}
        return load_settings({"environments": {"prod": values}}, "prod")

    assert _environment(hosts(130))
    with pytest.raises(SettingsError, match="Lambda takes 4096 in all"):
        _environment(hosts(200))


def test_every_function_setting_is_compared_or_derived_from_memory_and_location() -> None:
    compared = set(re.findall(r"^        (\w+)=", inspect.getsource(_compare), re.MULTILINE))
    assert set(FunctionSettings._fields) == compared | {"models_dir", "threads", "vcpus", "jobs", "shadow"}


def _read_by_the_function() -> set[str]:
    paths = [path for path in FUNCTION.rglob("*.py") if not {path.stem, path.parent.name} & set(OTHER_FUNCTIONS)]
    return {name for path in paths for name in re.findall(r'"(LOUPE_[A-Z0-9_]+)"', path.read_text())}


@pytest.fixture(scope="module")
def everything() -> Synthesized:
    patch = {
        "inputs": {
            "url": {"policy": "allow-list", "hosts": ["a.example.com"], "private_networks": ["10.0.0.0/8"]},
            "s3": {"locations": ["photos"]},
            "uploads": {"enabled": True},
        },
        "api": {"cors_origins": ["https://example.com"]},
        "cache": {"memory_mib": 64},
        "models": [{"name": "hair-type"}, {"name": "hair-type-large", "load": "first-use"}],
        "experiment": _EXPERIMENT,
    }
    return synthesize("dev", patch)


def test_the_stack_sets_exactly_the_variables_that_the_function_reads(everything: Synthesized) -> None:
    deployed = everything.only("AWS::Lambda::Function")["Environment"]["Variables"]
    given_to_it = {name for name in deployed if name.startswith("LOUPE_")}
    assert given_to_it <= _read_by_the_function()
    assert _read_by_the_function() - NOT_SETTINGS <= given_to_it
    # And each is compared above.
    compared = _environment(load_settings({"environments": {"prod": _ALL}}, "prod")).keys()
    assert given_to_it - NOT_SETTINGS == set(compared)


_EXPERIMENT: dict[str, Any] = {
    "name": "size",
    "arms": [
        {"name": "small", "model": "hair-type", "weight": 90},
        {"name": "large", "model": "hair-type-large", "weight": 10},
    ],
    "key": "header",
    "header": "X-User-Id",
    "override": True,
    "live_weights": True,
}
_ALL: dict[str, Any] = {
    "inputs": {
        "url": {"policy": "allow-list", "hosts": ["a.example.com"], "private_networks": ["10.0.0.0/8"]},
        "s3": {"locations": ["photos"]},
    },
    "api": {"cors_origins": ["https://example.com"]},
    "cache": {"memory_mib": 64},
    "models": [{"name": "hair-type"}, {"name": "hair-type-large", "load": "first-use"}],
    "experiment": _EXPERIMENT,
}
