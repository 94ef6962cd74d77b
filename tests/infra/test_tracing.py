"""X-Ray sampling: a rule for this API's stage alone, where the settings ask for one."""

from __future__ import annotations

import pytest

from infra.settings import SettingsError, load_settings
from tests.infra.synthesis import Synthesized, synthesize
from tests.infra.variants import OPTIONS


def test_the_rule_names_this_stage_and_its_shares() -> None:
    deployed = synthesize("dev", OPTIONS)
    rule = deployed.only("AWS::XRay::SamplingRule")["SamplingRule"]
    assert rule["ServiceName"] == "loupe-dev/live"
    assert deployed.only("AWS::ApiGateway::RestApi")["Name"] == "loupe-dev"
    assert deployed.only("AWS::ApiGateway::Stage")["StageName"] == "live"
    assert rule["ServiceType"] == "AWS::ApiGateway::Stage"
    assert (rule["FixedRate"], rule["ReservoirSize"], rule["Priority"]) == (0.01, 0, 500)
    # X-Ray rejects longer names.
    assert len(rule["RuleName"]) <= 32


def test_without_the_setting_the_accounts_rules_apply(prod: Synthesized) -> None:
    assert not prod.resources("AWS::XRay::SamplingRule")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({**OPTIONS["function"], "tracing": False}, "function.trace_sampling needs function.tracing"),
        ({"trace_sampling": {"rate": 1.5}}, "less than or equal to 1"),
        ({"trace_sampling": {"priority": 10_000}}, "less than or equal to 9999"),
    ],
)
def test_invalid_sampling_settings_are_rejected(values, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings({"environments": {"x": {"function": values}}}, "x")
