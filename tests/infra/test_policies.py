"""Nobody may do more than is written down: no wildcard without a reason, and the page shows what the template has."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.infra.statements import assert_every_statement_is_read, assert_no_unreasoned_wildcard
from tests.infra.synthesis import ROOT, Synthesized, synthesize
from tests.infra.variants import SETTINGS
from tools.policies import BEGIN, END, PAGE, permissions, written


def test_no_policy_has_a_wildcard_without_a_reason(synthesized: Synthesized) -> None:
    assert_no_unreasoned_wildcard(synthesized)


def test_bucket_permissions_are_limited_to_reading_objects() -> None:
    reads = [
        permission for permission in permissions(synthesize("prod", SETTINGS["buckets"]).template)
        if "s3:GetObjectVersion" in permission.actions
    ]  # fmt: skip
    # The endpoint, the bulk function, the jobs function and the state machine.
    assert [row.resources for row in reads] == [
        "arn:<Partition>:s3:::archive/2026/a/*, arn:<Partition>:s3:::pictures/*"
    ] * 4


def test_every_statement_of_a_template_is_read(synthesized: Synthesized) -> None:
    assert_every_statement_is_read(synthesized.template)


def test_identities_have_no_wildcard_action_at_all(prod: Synthesized) -> None:
    actions = [row.actions for row in permissions(prod.template) if row.kind == "AWS::IAM::Policy"]
    assert actions
    assert not [action for action in actions if "*" in action]


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("AWS::IAM::Policy", {"Action": "s3:*", "Resource": "arn:aws:s3:::pictures/uploads/x"}),
        ("AWS::IAM::Policy", {"Action": "s3:GetObject", "Resource": "*"}),
        ("AWS::IAM::Policy", {"Action": ["xray:PutTraceSegments", "sqs:SendMessage"], "Resource": "*"}),
        ("AWS::IAM::Policy", {"Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "arn:aws:s3:::*"}),
        ("AWS::IAM::ManagedPolicy", {"Action": "logs:*", "Resource": "arn:aws:logs:::x"}),
        (
            "AWS::S3::BucketPolicy",
            {"Principal": {"AWS": "*"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/b"},
        ),
        ("AWS::KMS::Key", {"Principal": {"AWS": "*"}, "Action": "kms:Decrypt", "Resource": "*"}),
    ],
)
def test_a_wildcard_without_a_reason_is_detected(kind: str, statement: dict[str, Any]) -> None:
    document = {"Statement": {"Effect": "Allow", **statement}}
    properties = {"KeyPolicy" if kind == "AWS::KMS::Key" else "PolicyDocument": document}
    (row,) = permissions({"Resources": {"Some0123ABCD": {"Type": kind, "Properties": properties}}})
    assert row.where == "Some"
    assert row.reason is None


def test_a_wildcard_in_an_inline_policy_is_detected() -> None:
    statement = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
    role = {"Policies": [{"PolicyName": "all", "PolicyDocument": {"Statement": [statement]}}]}
    (row,) = permissions({"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": role}}})
    assert row.reason is None


def test_the_only_managed_policy_is_that_of_the_accounts_log_role(prod: Synthesized) -> None:
    (managed,) = (row.resources for row in permissions(prod.template) if row.actions == "(managed policy)")
    assert managed.endswith(":policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs")


def test_the_page_lists_the_permissions_as_generated(prod: Synthesized) -> None:
    """If this fails: python -m tools.policies."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert written(page, permissions(prod.template)) == page


def test_every_test_that_the_page_names_exists() -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    assert len(named) > 20
    assert named - defined == set()


def test_statements_by_exclusion_are_rejected() -> None:
    statement = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::pictures"}
    properties = {"PolicyDocument": {"Statement": statement}}
    with pytest.raises(ValueError, match="NotAction"):
        permissions({"Resources": {"Some": {"Type": "AWS::IAM::Policy", "Properties": properties}}})
