"""Warnings and notes of a synth about settings that deploy, but may not have the expected effect."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.settings import Settings

_PAGE = "docs/environments.md, 'Changing the settings of a deployed environment'"


def add_notices(scope: Construct, settings: Settings) -> None:
    """Attach warnings and notes to the stack; `cdk synth`, `diff` and `deploy` print them."""
    notes = cdk.Annotations.of(scope)
    for name, sentence in warnings(settings).items():
        notes.add_warning_v2(f"loupe:{name}", sentence)
    for sentence in two_steps(settings).values():
        notes.add_info(sentence)


def warnings(settings: Settings) -> dict[str, str]:
    """Return sentences by name: about settings that contradict each other or need a step outside the stack."""
    sentences = {}
    plans = settings.clients
    rate = sum(plan.rate for plan in plans.values())
    if plans and rate < settings.api.rate_limit:
        sentences["plans"] = (
            f"The usage plans of auth.clients let {rate:g} requests a second through, and api.rate_limit is "
            f"{settings.api.rate_limit:g}: the stage's rate is never reached. Raise a client's rate, leave it out "
            "to take the stage's, or lower api.rate_limit."
        )
    if settings.bulk.enabled and settings.bulk.on_upload.enabled and settings.protection.kms_key.startswith("arn:"):
        sentences["arrivals"] = (
            "The policy of protection.kms_key is not part of this stack. Without kms:Decrypt and kms:GenerateDataKey "
            "for events.amazonaws.com in it, objects that arrive for bulk.on_upload are lost (docs/security.md)."
        )
    return sentences


def two_steps(settings: Settings) -> dict[str, str]:
    """Return sentences about settings whose next change takes two deployments, by name.

    Synth cannot see the deployed stack, so these apply to the next change.
    """
    sentences = {}
    shared = sorted(name for name, plan in settings.clients.items() if plan.secret is not None)
    if shared:
        sentences["secrets"] = (
            f"auth.clients.{shared[0]} has a secret of its own. API Gateway takes a key's value once: to rename such a "
            f"client, or to give its secret to another one, deploy once without the client ({_PAGE})."
        )
    if settings.protection.keep_data and not settings.firewall.enabled:
        sentences["firewall"] = (
            f"protection.keep_data keeps the log group aws-waf-logs-loupe-{settings.environment} of a firewall that "
            f"was enabled before. Before you enable it again, delete or import that group ({_PAGE})."
        )
    if settings.network.domain is not None and settings.network.domain.mutual_tls is not None:
        sentences["mutual_tls"] = (
            "network.domain.mutual_tls may stay in force after it is removed. To end it, deploy once without "
            f"network.domain, then with it ({_PAGE})."
        )
    if any(plan.quota is not None for plan in settings.clients.values()):
        sentences["quota"] = (
            "A quota of auth.clients may stay in force after it is removed. To end it, give the client another name, "
            f"or remove the quota of the usage plan by hand ({_PAGE})."
        )
    scaled = settings.scaling.provisioned
    if scaled is not None and (scaled.min != scaled.max or settings.scaling.schedules):
        sentences["scaling"] = (
            "To end scaling.provisioned, deploy once with min equal to max and without schedules, then without "
            f"scaling ({_PAGE})."
        )
    if settings.network.private_endpoint is not None:
        sentences["private_endpoint"] = (
            "An API does not move between a private endpoint and the internet: deploy a new environment instead "
            f"({_PAGE})."
        )
    return sentences
