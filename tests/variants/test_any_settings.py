"""What holds for an environment with any settings: permissions, logs, keys, retention, and the planner's counts."""

from __future__ import annotations

import pytest
from templates import Variant, variant_of

from infra.settings import load_settings
from tests.infra.counts import assert_counts
from tests.infra.statements import assert_every_statement_is_read, assert_no_unreasoned_wildcard
from tests.infra.synthesis import context
from tests.infra.variants import variants


@pytest.fixture(scope="module", params=variants())
def variant(request: pytest.FixtureRequest) -> Variant:
    return variant_of(request.param)


def test_no_policy_has_a_wildcard_without_a_reason(variant: Variant) -> None:
    assert_no_unreasoned_wildcard(variant.built)
    assert_every_statement_is_read(variant.built.template)


def test_logs_of_prod_are_retained_and_encrypted(variant: Variant) -> None:
    protection = load_settings(context(), variant.environment, dict(variant.patch)).protection
    groups, keys = (variant.built.resources(f"AWS::{kind}") for kind in ("Logs::LogGroup", "KMS::Key"))
    assert groups
    own = [{"Fn::GetAtt": [key, "Arn"]} for key in keys]
    expected = {"aws": [None], "customer": own}.get(protection.kms_key, [protection.kms_key])
    for group in groups.values():
        assert [group["Properties"].get("KmsKeyId")] == expected
        assert (group["DeletionPolicy"] == "RetainExceptOnCreate") == protection.keep_data
        assert variant.environment != "prod" or group["Properties"]["RetentionInDays"] == 180
    for pool in variant.built.resources("AWS::Cognito::UserPool").values():
        assert (pool["DeletionPolicy"] == "RetainExceptOnCreate") == protection.keep_data


def test_the_planner_counts_what_the_template_has(variant: Variant) -> None:
    assert_counts(variant.built, variant.patch)
