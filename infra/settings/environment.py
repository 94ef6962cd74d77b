"""One environment: all sections, and the combinations that cannot be deployed."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.settings.alarms import AlarmSettings
from infra.settings.api import ApiSettings
from infra.settings.auth import AuthSettings, ClientPlan
from infra.settings.base import AccountId, Region, Section, mutable_tag, text
from infra.settings.bulk import BulkSettings
from infra.settings.cache import CacheSettings
from infra.settings.experiment import ExperimentSettings
from infra.settings.firewall import FirewallSettings
from infra.settings.function import FunctionSettings
from infra.settings.image import ImageSettings
from infra.settings.inputs import InputSettings
from infra.settings.model import ModelSettings, ServedModel, models_conflict
from infra.settings.network import NetworkSettings
from infra.settings.protection import ProtectionSettings
from infra.settings.release import ReleaseSettings
from infra.settings.scaling import ScalingSettings
from infra.settings.shadow import ShadowSettings


class Settings(Section):
    """One environment."""

    environment: Annotated[
        str, text(r"[a-z][a-z0-9-]{0,19}", "a small letter, then small letters, digits and -, at most 20")
    ]
    account: AccountId | None = None
    region: Region | None = None
    model: ModelSettings = ModelSettings()
    # A limit that keeps their alarms and dashboard rows readable.
    models: Annotated[tuple[ServedModel, ...], Field(max_length=10)] = ()
    experiment: ExperimentSettings | None = None
    image: ImageSettings = ImageSettings()
    function: FunctionSettings = FunctionSettings()
    inputs: InputSettings = InputSettings()
    cache: CacheSettings = CacheSettings()
    shadow: ShadowSettings = ShadowSettings()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    network: NetworkSettings = NetworkSettings()
    firewall: FirewallSettings = FirewallSettings()
    alarms: AlarmSettings = AlarmSettings()
    scaling: ScalingSettings = ScalingSettings()
    bulk: BulkSettings = BulkSettings()
    release: ReleaseSettings = ReleaseSettings()
    protection: ProtectionSettings = ProtectionSettings()
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def clients(self) -> dict[str, ClientPlan]:
        """Clients with API keys and the limits that hold for them."""
        return self.auth.plans(self.api.rate_limit, self.api.burst_limit)

    @property
    def served(self) -> tuple[str, ...]:
        """Names of all models, the default first."""
        return (self.model.name, *(model.name for model in self.models if model.name != self.model.name))

    @property
    def packaged(self) -> tuple[str, ...]:
        """Names of all models of the image, the default first: those that are served, and the challenger."""
        challenger = self.shadow.challenger
        return (*self.served, *([challenger] if challenger and challenger not in self.served else []))

    @property
    def local(self) -> bool:
        """Whether this is the local cloud, which has no image builds and carries less than AWS."""
        return self.environment == "local"

    @model_validator(mode="after")
    def _deployable(self) -> Self:
        # The first conflict is reported; the order is part of the messages that tests pin.
        for conflict in (
            self._input_conflict,
            lambda: self.alarms.conflict(local=self.local),
            self._function_conflict,
            self._scaling_conflict,
            lambda: self.release.conflict(self.function.reserved_concurrency, alarms=self.alarms.enabled),
            self._access_conflict,
            self._image_conflict,
            lambda: self.alarms.local_cloud_conflict() if self.local else None,
        ):
            if sentence := conflict():
                raise ValueError(sentence)
        return self

    def _input_conflict(self) -> str | None:
        url = self.inputs.url
        if url.policy != "off" and url.timeout_seconds >= self.function.timeout_seconds:
            return "inputs.url.timeout_seconds must be below function.timeout_seconds, or no answer is given"
        own = url.own_networks
        if own and not self.local:
            return (
                f"inputs.url.private_networks has {own[0]}, which reaches the function's own machine or link; "
                "name the private networks that hold images"
            )
        return None

    def _function_conflict(self) -> str | None:
        if self.function.trace_sampling is not None and not self.function.tracing:
            return "function.trace_sampling needs function.tracing; without it nothing is recorded"
        return (
            self.cache.conflict(self.function.memory_mib)
            or models_conflict(self.model.name, self.models)
            or self._experiment_conflict()
            or self.shadow.conflict(self.model.name)
            or self.function.snap_start_conflict(
                provisioned=self.scaling.provisioned is not None,
                shadow=self.shadow.challenger is not None,
                local=self.local,
            )
        )

    def _experiment_conflict(self) -> str | None:
        if self.experiment is None:
            return None
        return self.experiment.conflict(self.served, self.auth.mode, self.function.reserved_concurrency)

    def _scaling_conflict(self) -> str | None:
        reserved = self.function.reserved_concurrency
        above = None if reserved is None else self.scaling.above(reserved)
        if above:
            return f"{above} is above function.reserved_concurrency ({reserved}), of which it is a part"
        if self.scaling.provisioned is not None and self.local:
            return "scaling.provisioned is not carried by the local cloud; leave it out there"
        if self.function.trace_sampling is not None and self.local:
            return "function.trace_sampling is not carried by the local cloud; leave it out there"
        return None

    def _access_conflict(self) -> str | None:
        if self.protection.permissions_boundary and self.local:
            return "protection.permissions_boundary is not carried by the local cloud; leave it out there"
        return (
            self.auth.conflict(self.environment, self.api.rate_limit, self.api.burst_limit)
            or self.network.conflict(self.region, local=self.local)
            or self.firewall.conflict(self.clients, private=self.network.private_endpoint is not None, local=self.local)
            or self.protection.conflict(
                self.region, self.tags, self.function.reserved_concurrency, firewall=self.firewall.enabled
            )
            or self.shadow.unlimited(self.protection.rule_packs)
        )

    def _image_conflict(self) -> str | None:
        if self.image.tag and not self.local:
            return mutable_tag("image", self.image.repository or "", self.image.tag)
        if self.image.source == "asset" and self.local:
            return "image.source must be 'ecr' in the local cloud, which builds no images"
        return None
