"""Settings of the delivery from GitHub: who may deliver, to which accounts, and where the container image is stored.

They are ``context.delivery`` in ``cdk.json``, beside ``context.environments``; `load_delivery` reads both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from infra.settings.auth import JwtSettings
from infra.settings.base import AccountId, Region, RepositoryName, Section, SettingsError, text
from infra.settings.environment import Settings
from infra.settings.loader import load_settings
from infra.settings.messages import sentences
from infra.settings.protection import KEY_ARN

# The environment of GitHub in which the image is built and pushed. Its role cannot deploy.
BUILD_ENVIRONMENT = "registry"
# Of the 110 minutes of a job in .github/workflows/deploy.yml: two hooks, the smoke test and a way back take the rest.
MAX_DELIVERED_SHIFT_MINUTES = 50
# GitHub's ids are numbers; an id is never given to another repository or owner, a name may be.
_Id = Annotated[str, text(r"[1-9]\d{0,19}", "a number as text, such as '123456789'")]
_OWNER, _REPOSITORY = r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}", r"[A-Za-z0-9._-]{1,100}"


class GitHubSettings(Section):
    """The repository whose workflows may assume the delivery roles.

    ``gh api repos/OWNER/NAME --jq '.full_name, .id, .owner.id'`` prints the first three.
    """

    repository: Annotated[str, text(rf"{_OWNER}/{_REPOSITORY}", "a repository as OWNER/NAME, without wildcards")]
    repository_id: _Id
    # Part of the subject of repositories created, renamed or transferred since 15 July 2026: repo:OWNER@ID/NAME@ID:...
    # (GitHub changelog 2026-04-23, 'Immutable subject claims for GitHub Actions OIDC tokens').
    owner_id: _Id
    branch: Annotated[
        str, text(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*", "the name of a branch, without wildcards")
    ] = "main"
    # Accounts that have a provider for token.actions.githubusercontent.com: an account takes one for each address.
    existing_providers: tuple[AccountId, ...] = ()


class RegistrySettings(Section):
    """The ECR repository of the container image."""

    account: AccountId
    # Lambda takes images of its own region only, so it is that of every environment.
    region: Region
    repository: RepositoryName = "loupe"
    # Encryption is fixed when a repository is created: without a key, with one of AWS.
    kms_key: Annotated[str, text(KEY_ARN, "the ARN of a KMS key")] | None = None


class DeliverySettings(Section):
    """The delivery of this repository's main branch."""

    github: GitHubSettings
    registry: RegistrySettings
    # Environments of cdk.json, in the order of .github/workflows/deliver.yml.
    environments: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = (
        "dev",
        "staging",
        "prod",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.environments)) < len(self.environments):
            raise ValueError("environments must name each environment once")
        if BUILD_ENVIRONMENT in self.environments:
            raise ValueError(f"environments has {BUILD_ENVIRONMENT!r}, the name of the build's own GitHub environment")
        return self


@dataclass(frozen=True)
class Delivery:
    """Settings of the delivery, and of every environment that it deploys."""

    settings: DeliverySettings
    environments: Mapping[str, Settings]

    @property
    def accounts(self) -> dict[str, list[Settings]]:
        """Environments by account; the registry's account first, with or without one."""
        accounts: dict[str, list[Settings]] = {self.settings.registry.account: []}
        for environment in self.environments.values():
            accounts.setdefault(environment.account or "", []).append(environment)
        return accounts

    @property
    def any_environment(self) -> Settings:
        """An environment; all have the same architecture and base image."""
        return next(iter(self.environments.values()))

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models that an environment needs; each function serves those of its own settings."""
        return tuple(dict.fromkeys(name for item in self.environments.values() for name in item.packaged))

    @property
    def builds_authorizer(self) -> bool:
        """Whether an environment needs the image of the JWT authorizer."""
        return any(_needs_authorizer(environment) for environment in self.environments.values())


def load_delivery(context: Mapping[str, Any]) -> Delivery:
    """Read the delivery from the context of ``cdk.json``.

    Raises
    ------
    SettingsError
        With one line for each invalid key, or for environments that cannot be delivered together.
    """
    settings = _section(context)
    environments: dict[str, Settings] = {}
    for name in settings.environments:
        environment = load_settings(context, name)
        if sentence := _environment_conflict(settings, environment):
            raise SettingsError(sentence)
        environments[name] = environment
    delivery = Delivery(settings, environments)
    if sentence := _conflict(delivery):
        raise SettingsError(sentence)
    return delivery


def delivered_images(
    context: Mapping[str, Any], name: str, digest: str, authorizer_digest: str | None = None
) -> dict[str, Any]:
    """Return the settings patch that makes an environment run the images that the delivery pushed.

    Parameters
    ----------
    name
        The environment. It need not be one of those that the workflow deploys.
    digest, authorizer_digest
        ``sha256:...`` of the function's and the JWT authorizer's image in the registry of `DeliverySettings`.

    Raises
    ------
    SettingsError
        If there is no registry to take them from, or the environment needs an image that was not pushed.
    """
    registry = _section(context).registry
    home = {"repository": registry.repository, "account": registry.account}
    patch: dict[str, Any] = {"image": {"source": "ecr", **home, "digest": digest, "tag": None, "base": None}}
    environment = load_settings(context, name)
    if environment.region not in (None, registry.region):
        raise SettingsError(_region_sentence(name, environment.region, registry.region))
    if _needs_authorizer(environment):
        if not authorizer_digest:
            raise SettingsError(f"environments.{name} has auth.mode 'jwt': give the authorizer's digest beside digest.")
        patch["auth"] = {"jwt": {"image": {**home, "digest": authorizer_digest}}}
    return patch


def _section(context: Mapping[str, Any]) -> DeliverySettings:
    values = context.get("delivery")
    if values is None:
        raise SettingsError(
            "cdk.json has no context.delivery, which names the repository and the registry: see docs/delivery.md."
        )
    try:
        return DeliverySettings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise SettingsError("\n".join(sentences(DeliverySettings, ("delivery",), error))) from None


def _needs_authorizer(environment: Settings) -> bool:
    jwt: JwtSettings | None = environment.auth.jwt
    return environment.auth.mode == "jwt" and jwt is not None and jwt.image is None


def _environment_conflict(settings: DeliverySettings, environment: Settings) -> str | None:
    name = environment.environment
    if environment.local:
        return "delivery.environments has 'local', which is not on AWS."
    if environment.account is None:
        return f"delivery.environments has {name!r}: give environments.{name}.account, whose role deploys it."
    if environment.region is None:
        return f"delivery.environments has {name!r}: give environments.{name}.region."
    if environment.region != settings.registry.region:
        return _region_sentence(name, environment.region, settings.registry.region)
    if environment.release.shift_minutes > MAX_DELIVERED_SHIFT_MINUTES:
        return (
            f"environments.{name}.release shifts traffic for {environment.release.shift_minutes} minutes, and a job of "
            f"the delivery has time for {MAX_DELIVERED_SHIFT_MINUTES}: raise percent or lower interval_minutes."
        )
    if environment.image.source == "ecr":
        return f"environments.{name}.image names an image in ECR; the delivery builds its own: leave image out."
    return None


def _region_sentence(name: str, region: str | None, registry: str) -> str:
    return (
        f"environments.{name}.region is {region}, and delivery.registry.region is {registry}: "
        "Lambda takes images of its own region only."
    )


def _conflict(delivery: Delivery) -> str | None:
    first, *others = delivery.environments.values()
    for other in others:
        for key, value, other_value in (
            ("function.architecture", first.function.architecture, other.function.architecture),
            ("image.base", first.image.base, other.image.base),
        ):
            if value != other_value:
                return (
                    f"environments.{first.environment} and environments.{other.environment} differ in {key} "
                    f"({value!r}, {other_value!r}): one image cannot serve both."
                )
    unused = sorted(set(delivery.settings.github.existing_providers) - set(delivery.accounts))
    if unused:
        return f"delivery.github.existing_providers has {unused[0]}, which is the account of no environment."
    return None
