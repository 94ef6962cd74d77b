"""One environment's settings: typed, validated, with every default. One module per section.

They are the values of ``context.environments.<name>`` in ``cdk.json``; `load_settings` reads them. `Settings` holds all
sections and rejects combinations that cannot be deployed.
"""

from infra.settings.alarms import AlarmSettings
from infra.settings.api import ApiSettings
from infra.settings.auth import AuthSettings
from infra.settings.base import SettingsError
from infra.settings.bulk import BulkSettings, OnUploadSettings
from infra.settings.cache import CacheSettings
from infra.settings.environment import Settings
from infra.settings.experiment import ArmSettings, ExperimentSettings
from infra.settings.firewall import FirewallSettings
from infra.settings.function import FunctionSettings, MetricsSettings, TraceSamplingSettings
from infra.settings.image import ImageSettings
from infra.settings.inputs import InputSettings
from infra.settings.loader import load_settings, merge_patch
from infra.settings.model import ModelSettings, ServedModel
from infra.settings.network import NetworkSettings
from infra.settings.protection import ProtectionSettings
from infra.settings.release import ReleaseSettings
from infra.settings.scaling import ScalingSettings
from infra.settings.shadow import ShadowSettings

__all__ = [
    "AlarmSettings",
    "ApiSettings",
    "ArmSettings",
    "AuthSettings",
    "BulkSettings",
    "CacheSettings",
    "ExperimentSettings",
    "FirewallSettings",
    "FunctionSettings",
    "ImageSettings",
    "InputSettings",
    "MetricsSettings",
    "ModelSettings",
    "NetworkSettings",
    "OnUploadSettings",
    "ProtectionSettings",
    "ReleaseSettings",
    "ScalingSettings",
    "ServedModel",
    "Settings",
    "SettingsError",
    "ShadowSettings",
    "TraceSamplingSettings",
    "load_settings",
    "merge_patch",
]
