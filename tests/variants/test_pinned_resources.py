"""Logical IDs and physical names stay what they are: an update replaces no resource by accident."""

from __future__ import annotations

from collections.abc import Mapping

import pinned
import pytest

from tests.infra.variants import variants

# Resources that were renamed, replaced or removed on purpose: variant and logical ID -> the reason, and what an
# operator of a deployed stack has to do.
EXCEPTIONS: Mapping[tuple[str, str], str] = {}


@pytest.fixture(scope="module")
def current() -> dict[str, pinned.Pinned]:
    return pinned.synthesize_all()


@pytest.mark.parametrize("variant", variants())
def test_every_pinned_resource_keeps_its_logical_id_type_and_name(
    variant: str, current: dict[str, pinned.Pinned]
) -> None:
    expected = pinned.read()[variant]
    changed = {key for key, value in expected.items() if current[variant].get(key) != value}
    assert changed == {key for name, key in EXCEPTIONS if name == variant}


@pytest.mark.parametrize("variant", variants())
def test_new_resources_are_pinned(variant: str, current: dict[str, pinned.Pinned]) -> None:
    new = set(current[variant]) - set(pinned.read()[variant])
    assert not new, "python -m tests.variants.pinned adds them"


def test_the_list_covers_functions_data_and_access() -> None:
    kinds = {value.partition(" ")[0] for items in pinned.read().values() for value in items.values()}
    assert {"AWS::Lambda::Function", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::ApiGateway::RestApi"} <= kinds
    assert {"AWS::Cognito::UserPool", "AWS::WAFv2::IPSet", "AWS::XRay::SamplingRule"} <= kinds


def test_a_renamed_resource_is_a_change() -> None:
    kind = "AWS::Logs::LogGroup"
    before, after = (
        pinned.resources({"Resources": {name: {"Type": kind, "Properties": {"LogGroupName": "/a"}}}})
        for name in ("Logs1", "Logs2")
    )
    assert before == {"Logs1": f"{kind} LogGroupName=/a"}
    assert not before.items() <= after.items()
