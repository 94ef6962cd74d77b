"""Wrong settings are rejected at synth, with the key's path and what is allowed."""

from __future__ import annotations

import json

import pytest

from infra.settings import SettingsError, load_settings, merge_patch

DIGEST = f"sha256:{'0a' * 32}"
REJECTED = [
    ({"functon": {}}, "environments.x.functon: there is no such key. Known here: account, alarms, api"),
    ({"function": {"memory": 512}}, "environments.x.function.memory: there is no such key. Known here: architecture"),
    (
        {"function": {"memory_mib": "512"}},
        "environments.x.function.memory_mib: should be a valid integer (it is '512')",
    ),
    ({"function": {"memory_mib": 64}}, "environments.x.function.memory_mib: should be greater than or equal to 256"),
    (
        {"cache": {"memory_mib": 443}},
        "cache.memory_mib (443) may be at most a quarter of function.memory_mib (1769), which the model",
    ),
    (
        {"models": [{"name": "hair-type-large"}, {"name": "course"}]},
        "models must have the default, model.name 'hair-type' (they are hair-type-large, course): add it",
    ),
    ({"models": [{"name": "hair-type"}, {"name": "hair-type"}]}, "models must name each model once"),
    ({"models": [{"name": "hair-type"}]}, "models has one model: name it in model.name and leave models out"),
    (
        {"models": [{"name": "hair-type", "load": "first-use"}, {"name": "b"}]},
        "the default, 'hair-type', is loaded at INIT",
    ),
    ({"models": [{"name": "../b"}]}, "models.0.name: must be the name of a folder in models/"),
    ({"cache": {"memory_mib": 1025}}, "environments.x.cache.memory_mib: should be less than or equal to 1024"),
    ({"function": {"timeout_seconds": 29}}, "should be less than or equal to 28"),
    ({"function": {"architecture": "riscv"}}, "should be 'x86_64' or 'arm64'"),
    ({"function": {"log_retention_days": 2}}, "log_retention_days"),
    ({"image": {"source": "ecr"}}, "environments.x.image: source 'ecr' needs repository and digest"),
    ({"image": {"digest": DIGEST}}, "environments.x.image: repository, account, digest and tag belong to source 'ecr'"),
    (
        {"image": {"source": "ecr", "repository": "loupe", "tag": "v1"}},
        "image.tag 'v1' can be moved to another image, without a deployment: name image.digest instead",
    ),
    ({"image": {"source": "ecr", "repository": "loupe", "digest": "latest"}}, "must be an image's digest: sha256:"),
    (
        {"image": {"source": "ecr", "repository": "loupe", "digest": DIGEST, "tag": "v1"}},
        "digest and tag exclude each other",
    ),
    ({"image": {"source": "ecr", "repository": "Loupe", "digest": DIGEST}}, "must be the name of a repository in ECR"),
    (
        {
            "auth": {
                "mode": "jwt",
                "jwt": {
                    "issuer": "https://id.example.com/",
                    "audience": ["a"],
                    "image": {"repository": "gate", "tag": "v7"},
                },
            }
        },
        "auth.jwt.image.tag 'v7' can be moved to another image",
    ),
    ({"inputs": {"url": {"schemes": []}}}, "environments.x.inputs.url.schemes: must have at least 1 (it has 0)."),
    ({"inputs": {"url": {"policy": "public", "schemes": ["http"], "ports": [443]}}}, "add 80"),
    (
        {"api": {"cors_origins": ["https://example.com/"]}},
        "api.cors_origins.0: must be * or an origin as browsers send",
    ),
    ({"account": "١٢٣٤٥٦٧٨٩٠١٢"}, "must be the account's 12 digits"),
    (
        {"image": {"source": "ecr", "repository": "loupe", "digest": DIGEST, "base": "other:v1"}},
        "environments.x.image: base belongs to source 'asset'",
    ),
    ({"image": {"source": "zip"}}, "should be 'asset' or 'ecr'"),
    ({"inputs": {"url": {"policy": "all"}}}, "should be 'off', 'allow-list' or 'public'"),
    ({"inputs": {"url": {"policy": "allow-list"}}}, "environments.x.inputs.url: policy 'allow-list' needs hosts"),
    ({"inputs": {"url": {"policy": "public", "hosts": ["a.example"]}}}, "hosts belong to policy 'allow-list'"),
    ({"inputs": {"url": {"private_networks": ["10.0.0.0/8"]}}}, "private_networks need a policy other than 'off'"),
    ({"inputs": {"url": {"policy": "public", "private_networks": ["10.0.0.1/8"]}}}, "has host bits set"),
    ({"inputs": {"url": {"policy": "public", "private_networks": ["127.0.0.0/8"]}}}, "the function's own machine"),
    ({"inputs": {"url": {"policy": "public", "private_networks": ["0.0.0.0/0"]}}}, "the function's own machine"),
    ({"inputs": {"url": {"policy": "public", "private_networks": ["169.254.0.0/24"]}}}, "own machine or link"),
    ({"inputs": {"url": {"policy": "public", "private_networks": ["::/0"]}}}, "the function's own machine"),
    ({"environment": "y"}, "environments.x.environment: the key 'x' above it is the environment's name"),
    ({"image": None}, "environments.x.image: should be an object"),
    ({"function": {"reserved_concurrency": 0}}, "should be greater than or equal to 1 (it is 0)"),
    ({"inputs": {"url": {"schemes": ["ftp"]}}}, "environments.x.inputs.url.schemes.0: should be 'https' or 'http'"),
    (
        {"inputs": {"url": {"policy": "public", "timeout_seconds": 15}}},
        "inputs.url.timeout_seconds must be below function.timeout_seconds",
    ),
    (
        {"api": {"rate_limit": 5}, "auth": {"clients": {"app": {"rate": 10}}}},
        "auth.clients.app.rate is above api.rate_limit",
    ),
    ({"api": {"stage": "v 1"}}, "environments.x.api.stage: must be letters, digits and _, at most 64 (it is 'v 1')."),
    ({"alarms": {"period_seconds": 10}}, "alarms.period_seconds below 60 never sees AWS/Lambda metrics"),
    ({"alarms": {"subscriptions": ["nobody"]}}, "environments.x.alarms.subscriptions.0: must be an e-mail address"),
    ({"account": "12345"}, "environments.x.account: must be the account's 12 digits, as text (it is '12345')."),
    ({"region": "Frankfurt"}, "environments.x.region: must be a region such as eu-central-1"),
    ({"model": {"name": "../secrets"}}, "environments.x.model.name: must be the name of a folder in models/"),
    ({"model": "hair-type"}, "environments.x.model: "),
    ([], "environments.x in cdk.json must be an object"),
]


@pytest.mark.parametrize(("values", "sentence"), REJECTED)
def test_invalid_settings_are_rejected_with_their_path(values: object, sentence: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({"environments": {"x": values}}, "x")
    assert sentence in str(error.value)
    assert "pydantic" not in str(error.value)


def test_a_default_that_depends_on_an_invalid_key_is_not_reported() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({"environments": {"x": {"inputs": {"url": {"schemes": ["ftp"]}}}}}, "x")
    assert len(str(error.value).splitlines()) == 1


def test_all_invalid_keys_are_reported_together() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({"environments": {"x": {"a": 1, "function": {"memory_mib": 1}}}}, "x")
    assert len(str(error.value).splitlines()) == 2


def test_an_unknown_environment_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"no environment 'live'.*: dev, prod"):
        load_settings({"environments": {"prod": {}, "dev": {}}}, "live")


def test_a_patch_changes_only_its_own_keys() -> None:
    context = {"environments": {"x": {"function": {"memory_mib": 512}, "model": {"name": "a"}}}}
    settings = load_settings(context, "x", json.dumps({"model": {"name": "b"}}))
    assert (settings.model.name, settings.function.memory_mib) == ("b", 512)


def test_a_parsed_patch_is_accepted() -> None:
    assert load_settings({"environments": {"x": {}}}, "x", {"model": {"name": "b"}}).model.name == "b"


def test_private_networks_with_image_hosts_are_allowed() -> None:
    url = {"policy": "public", "private_networks": ["10.0.0.0/8", "fd00::/8"]}
    assert load_settings({"environments": {"x": {"inputs": {"url": url}}}}, "x").inputs.url.private_networks


def test_an_invalid_environment_name_is_rejected_with_the_rule() -> None:
    with pytest.raises(SettingsError, match="must be a small letter, then small letters, digits and -"):
        load_settings({"environments": {"Prod_1": {}}}, "Prod_1")


def test_an_invalid_json_patch_is_rejected() -> None:
    with pytest.raises(SettingsError, match="not valid JSON"):
        load_settings({"environments": {"x": {}}}, "x", "{")


def test_merge_patch_follows_rfc_7386() -> None:
    assert merge_patch({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}) == {"a": {"c": 2, "d": 3}}
    assert merge_patch({"a": [1]}, {"a": [2]}) == {"a": [2]}
    assert merge_patch("a", {"b": 1}) == {"b": 1}
