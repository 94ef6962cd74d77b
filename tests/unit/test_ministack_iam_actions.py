"""Resources of IAM checks where MiniStack differs from AWS."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.ministack.iam_actions import naming_resources

ARN = "arn:aws:lambda:us-east-1:000000000000:function:loupe-local"
PATH = "/2015-03-31/functions/loupe-local/invocations"


def resource_of(resource: str, path: str, query: Any, body: bytes = b"", service: str = "lambda") -> str:
    extract = naming_resources(lambda *_: resource)
    return extract(service, "POST", path, {}, body, query, "us-east-1", "000000000000")


@pytest.mark.parametrize("qualifier", ["7", ["7"]])
def test_an_invocation_of_a_version_is_checked_on_the_version(qualifier: Any) -> None:
    """A policy for the unqualified function does not allow it (Lambda developer guide, 'Identity-based policies')."""
    assert resource_of(ARN, PATH, {"Qualifier": qualifier}) == f"{ARN}:7"


def test_an_invocation_without_a_qualifier_is_checked_on_the_function() -> None:
    assert resource_of(ARN, PATH, {}) == ARN
    assert resource_of(ARN, PATH, None) == ARN


def test_a_qualifier_in_the_arn_is_not_repeated() -> None:
    assert resource_of(f"{ARN}:live", PATH, {"Qualifier": "live"}) == f"{ARN}:live"


def test_other_actions_and_services_keep_their_resource() -> None:
    assert resource_of(ARN, "/2015-03-31/functions/loupe-local", {"Qualifier": "7"}) == ARN
    assert resource_of("*", "/", {}, b'{"mapRunArn": "arn:aws:states:x"}', "states") == "arn:aws:states:x"
