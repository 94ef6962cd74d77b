"""Settings over the environments of cdk.json: what `tests/variants` synthesizes and checks, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENVIRONMENTS = ("local", "dev", "staging", "prod")
CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/0d1c2b3a-0000-4000-8000-000000000000"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DOMAIN = {
    "name": "images.example.com",
    "certificate_arn": CERTIFICATE,
    "hosted_zone_id": "Z0123456789ABC",
    "hosted_zone_name": "example.com",
}
NAT = {"allowed_cidrs": ["198.51.100.0/24", "2001:db8::/32"]}
BARE = {
    "firewall": {"enabled": False},
    "protection": {"kms_key": "aws", "keep_data": False, "rule_packs": ["AwsSolutions"]},
    "function": {"reserved_concurrency": None, "tracing": False},
    "inputs": {"uploads": {"enabled": False}},
    "api": {"account_log_role": False},
    "alarms": {"enabled": False},
    "release": {"strategy": "all_at_once"},
}
PROVISIONED = {"min": 2, "max": 5}
SCHEDULE = {"name": "night", "cron": "cron(0 19 ? * MON-FRI *)", "min": 1, "max": 1}
SCOPED = {"mode": "cognito", "cognito": {"domain_prefix": "images-example"}}
JWT = {"mode": "jwt", "jwt": {"issuer": "https://id.example.com/", "audience": ["https://images.example"]}}
ONE = {"app": {"rate": 5, "burst": 10, "quota": {"requests": 1000, "period": "week"}}}

EXPERIMENT = {
    "models": [{"name": "hair-type"}, {"name": "hair-type-large"}],
    "experiment": {
        "name": "size",
        "arms": [
            {"name": "small", "model": "hair-type", "weight": 90},
            {"name": "large", "model": "hair-type-large", "weight": 10},
        ],
        "key": "api-key",
        "live_weights": True,
    },
}

# Patches over `prod`: each differs from it in what its name says. Together with those over other environments they have
# every resource that a setting brings.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "prod": {},
    "bare": BARE,
    "iam": {"auth": {"mode": "iam", "iam": {"callers": ["arn:aws:iam::210987654321:role/caller"]}}},
    "cognito": {"auth": SCOPED},
    "jwt": {"auth": JWT},
    "public": {"auth": {"mode": "none", "i_know_this_is_public": True}},
    "one client": {"auth": {"clients": ONE}},
    "two clients": {"auth": {"clients": {"app": {}, "night-batch": {"secret": "team/loupe-key"}}}},
    "client renamed": {"auth": {"clients": {"app-b": {"rate": 5, "burst": 10}}}},
    "addresses": {"network": NAT, "api": {"cors_origins": ["https://a.example", "https://b.example"]}},
    "domain": {"network": {"domain": DOMAIN}},
    "client certificates": {
        "network": {"domain": {**DOMAIN, "mutual_tls": {"truststore": "s3://certificates/authorities.pem"}}}
    },
    "private": {"network": {"private_endpoint": {"vpc_endpoint_ids": ["vpce-0123456789abcdef0"]}}},
    "scaling": {"scaling": {"provisioned": PROVISIONED}},
    "schedules": {"scaling": {"provisioned": PROVISIONED, "schedules": [SCHEDULE]}},
    "several models": {"models": [{"name": "hair-type"}, {"name": "hair-type-large", "load": "first-use"}]},
    "experiment": EXPERIMENT,
    "shadow test": {"shadow": {"challenger": "hair-type-large", "share": 0.1, "reserved_concurrency": 2}},
    "no bulk jobs": {"bulk": {"enabled": False}},
    "classify on upload": {"bulk": {"max_concurrency": 30, "on_upload": {"enabled": True, "notify": True}}},
    "buckets": {"inputs": {"s3": {"locations": ["pictures", "archive/2026/a/"]}}},
    "cache": {"cache": {"memory_mib": 64}},
    "messages of single alarms": {"alarms": {"composite": False}},
    "own key": {
        "protection": {"kms_key": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
    },
    "permissions boundary": {"protection": {"permissions_boundary": "loupe-boundary"}},
    "all at once": {"release": {"strategy": "all_at_once"}},
    "linear": {"release": {"strategy": "linear", "percent": 20, "interval_minutes": 5}},
    "canary without hooks": {"release": {"hooks": False, "synthetic_traffic": False}},
    "snap start": {"function": {"snap_start": True}},
    "stage renamed": {"api": {"stage": "next", "method_metrics": True}},
}
MANY_CLIENTS = {f"client-{letter}{number}": {} for letter in "abcde" for number in range(13)}
# As many resources as settings can make.
LARGEST: Mapping[str, Any] = {
    "auth": {"clients": MANY_CLIENTS},
    "api": {"cors_origins": ["https://a.example"]},
    "network": {"domain": DOMAIN, "allowed_cidrs": ["198.51.100.0/24"]},
    "scaling": {"provisioned": {"min": 1, "max": 5}},
    **SETTINGS["classify on upload"],
    **SETTINGS["shadow test"],
    **SETTINGS["experiment"],
}
_CORS = {"api": {"cors_origins": ["https://a.example"]}}
# Patches over `prod` by mode of authorization, with a page elsewhere that may call it.
AUTH_MODES: Mapping[str, Mapping[str, Any]] = {
    "api-key": {
        "auth": {
            "mode": "api-key",
            "clients": {
                "app": {"rate": 5, "burst": 10, "quota": {"requests": 1000, "period": "week"}},
                "night-batch": {"secret": "team/loupe-key", "key_version": 3},
            },
        },
        **_CORS,
    },
    "iam": {"auth": {"mode": "iam", "iam": {"callers": ["arn:aws:iam::210987654321:role/caller"]}}, **_CORS},
    "cognito": {"auth": {"mode": "cognito"}, **_CORS},
    "jwt": {
        "auth": {
            "mode": "jwt",
            "jwt": {
                "issuer": "https://id.example.com/",
                "audience": ["https://images.example"],
                "scopes": ["classify"],
                "claims": {"tenant": "acme", "verified": True, "level": 2},
            },
        },
        **_CORS,
    },
    "none": {"auth": {"mode": "none", "i_know_this_is_public": True}, **_CORS},
}
# Options over `dev` that change nothing of each other, for tests of one of them.
OPTIONS: Mapping[str, Any] = {
    "alarms": {
        "runbook": "https://wiki.example.com/loupe",
        "subscriptions": ["ops@example.com"],
        "composite": False,
        "saved_queries": False,
    },
    "api": {"account_log_role": False, "method_metrics": True, "cors_origins": ["https://a.example"]},
    "function": {
        "metrics": {"by_version": True},
        "trace_sampling": {"rate": 0.01, "per_second": 0, "priority": 500},
    },
}
# Over another environment.
MORE_SETTINGS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "existing user pool": (
        "dev",
        {
            "auth": {
                "mode": "cognito",
                "cognito": {
                    "user_pool_arn": "arn:aws:cognito-idp:eu-central-1:111122223333:userpool/eu-central-1_AbCdEfGhI"
                },
            }
        },
    ),
    "networks, countries, tracing, locations": (
        "dev",
        {
            "firewall": {
                "enabled": True,
                "blocked_networks": ["198.51.100.0/24", "2001:db8::/32"],
                "trusted_networks": ["203.0.113.0/24"],
                "allowed_countries": ["DE"],
            },
            "function": {"trace_sampling": {}},
            "inputs": {"s3": {"locations": ["pictures", "other/a/"]}},
            "alarms": {"subscriptions": ["team@example.com"]},
        },
    ),
    "budget": ("dev", {"alarms": {"budget": {"monthly_usd": 100}}}),
}


def variants() -> dict[str, tuple[str, dict[str, Any] | None]]:
    """Return environment and patch by name: environments first, then settings over one."""
    return {
        **{environment: (environment, None) for environment in ENVIRONMENTS},
        **{f"prod, {name}": ("prod", dict(patch)) for name, patch in SETTINGS.items() if patch},
        **{f"{environment}, {name}": (environment, patch) for name, (environment, patch) in MORE_SETTINGS.items()},
    }
