"""Every permission in a template as a table: ``python -m tools.policies`` writes prod's into docs/security.md."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from infra.app import build
from infra.components.container_function import XRAY_WILDCARD
from infra.components.shadow_bucket import SAMPLES_WILDCARD
from infra.components.upload_bucket import LOCATIONS_WILDCARD, UPLOADS_WILDCARD
from infra.paths import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "security.md"
BEGIN, END = "<!-- policies: begin -->", "<!-- policies: end -->"
# The documents that say who may do what, by resource type and property.
_DOCUMENTS = {
    "AWS::IAM::Role": "AssumeRolePolicyDocument",
    "AWS::IAM::Policy": "PolicyDocument",
    "AWS::IAM::ManagedPolicy": "PolicyDocument",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::SecretsManager::ResourcePolicy": "ResourcePolicy",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::ApiGateway::RestApi": "Policy",
}
# Why an Allow may name all actions, all resources or everybody, by the policy's type and a pattern of the statement.
# A reason that also acknowledges a finding of cdk-nag is the component's.
REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "AWS::KMS::Key",
        r"AWS: arn:<Partition>:iam::<AccountId>:root kms:\* \*",
        "lets IAM policies of the account decide about the key (KMS developer guide, 'Default key policy')",
    ),
    (
        "AWS::KMS::Key",
        r"AWS: arn:<Partition>:iam::<AccountId>:root kms:CreateGrant, [^*]*kms:GenerateDataKey\*, kms:ReEncrypt\* \*",
        "the CDK's grant for secrets, through Secrets Manager only; `*` is this key, and each family's forms",
    ),
    ("AWS::KMS::Key", r"Service: [^*]* \*", "in a key's policy, `*` is this key"),
    (
        "AWS::KMS::Key",
        r"Service: events.amazonaws.com kms:Decrypt, kms:Encrypt, kms:GenerateDataKey\*, kms:ReEncrypt\* \*",
        "the CDK's grant for EventBridge's queue; `*` is this key, and each family's forms",
    ),
    (
        "AWS::KMS::Key",
        r"Service: budgets.amazonaws.com kms:Decrypt, kms:GenerateDataKey\* \*",
        "messages of this account's budgets; `*` is this key, and each family's forms",
    ),
    (
        "AWS::ApiGateway::RestApi",
        r"AWS: \* execute-api:Invoke execute-api:/\*",
        "all routes of this API: a Deny beside it says who may come, and `auth` who may call",
    ),
    (
        "AWS::ApiGateway::RestApi",
        r"AWS: arn:[^*]* execute-api:Invoke execute-api:/\*",
        "all routes of this API, for the identities that auth.iam.callers names",
    ),
    (
        "AWS::ApiGateway::RestApi",
        r"AWS: \* execute-api:Invoke (execute-api:/\w+/(GET|HEAD|OPTIONS)/[^*, ]*(, )?)+",
        "health, page, contract and preflights are open to everybody",
    ),
    ("AWS::IAM::Policy", r"xray:PutTelemetryRecords, xray:PutTraceSegments \*", XRAY_WILDCARD),
    (
        "AWS::IAM::Policy",
        r"s3:GetObject, s3:GetObjectVersion (arn:<Partition>:s3:::[a-z0-9.-]+/([^*, ]+/)*\*(, )?)+",
        LOCATIONS_WILDCARD,
    ),
    (
        "AWS::IAM::Policy",
        r"(s3:\w+(, )?)+ (<BulkResultsBucket>/(inputs|jobs|uploads)/(\*|\*/failures\.jsonl|\*/map/\*)(, )?)+",
        "keys are made of job ids and of what callers put below these prefixes",
    ),
    (
        "AWS::IAM::Policy",
        r"(states:\w+(, )?)+ (arn:<Partition>:states:[^:]+:[^:]+:(execution|mapRun):loupe-[a-z0-9-]+-bulk[:/]\*(, )?)+",
        "executions and Map Runs of the one state machine; their names are made as jobs start",
    ),
    (
        "AWS::IAM::Policy",
        r"lambda:InvokeFunction <BulkFunction>:\*, <BulkJobsFunctionAliaslive>",
        "a job goes on with the version that it started with",
    ),
    (
        "AWS::IAM::Policy",
        r"lambda:InvokeFunction <ClassifierFunction>:\*",
        "the version that is released, whose number is known only once it is published",
    ),
    ("AWS::IAM::Policy", r"cloudwatch:DescribeAlarms \*", "CodeDeploy polls its alarms; that reads only"),
    (
        "AWS::IAM::Policy",
        r"logs:CreateLogDelivery, (logs:\w+, )+logs:UpdateLogDelivery(, xray:\w+)* \*",
        "log delivery and X-Ray take no resource (Step Functions developer guide, 'Logging using CloudWatch Logs')",
    ),
    ("AWS::IAM::Policy", r"s3:(Get|Put)Object <[^>]*ShadowSamples[^>]*>/shadow/\*", SAMPLES_WILDCARD),
    ("AWS::IAM::Policy", r"s3:GetObject, s3:PutObject <[^>]*Uploads[^>]*>/uploads/\*", UPLOADS_WILDCARD),
)
_HASH = re.compile(r"[0-9A-F]{8}$")


@dataclass(frozen=True)
class Permission:
    """One statement of one policy.

    Attributes
    ----------
    where
        Logical name of the policy's resource, without the CDK's hash.
    reason
        Reason for its wildcard; empty without a wildcard; None if a wildcard has no reason.
    """

    kind: str
    where: str
    effect: str
    principal: str
    actions: str
    resources: str
    condition: str
    reason: str | None


def permissions(template: Mapping[str, Any]) -> list[Permission]:
    """Read every statement of a template's policies, and what may invoke its functions."""
    statements = []
    for name, resource in sorted(template["Resources"].items()):
        properties = resource.get("Properties", {})
        kind, where = resource["Type"], _plain(name)
        documents = [properties.get(_DOCUMENTS.get(kind, ""), {})]
        documents += [inline["PolicyDocument"] for inline in properties.get("Policies", []) if kind == "AWS::IAM::Role"]
        for document in documents:
            statements += [_permission(kind, where, statement) for statement in _list(document.get("Statement", []))]
        statements += [
            Permission(kind, where, "Allow", "", "(managed policy)", _text(managed), "", "")
            for managed in properties.get("ManagedPolicyArns", [])
        ]
        if resource["Type"] == "AWS::Lambda::Permission":
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": properties["Principal"]},
                "Action": properties["Action"],
                "Resource": properties["FunctionName"],
                "Condition": {"ArnLike": {"aws:SourceArn": properties.get("SourceArn", "any")}},
            }
            statements.append(_permission(kind, where, statement))
    return statements


def table(statements: list[Permission]) -> str:
    """Return the permissions as a Markdown table; what lets the API's methods invoke a function is one row."""
    rows: dict[Permission, list[str]] = {}
    for statement in statements:
        invoking = statement.kind == "AWS::Lambda::Permission"
        rows.setdefault(replace(statement, where="(invocation)", condition="") if invoking else statement, []).append(
            statement.condition
        )
    lines = [
        "| policy | effect | who | actions | resources | condition | wildcard, because |",
        "|---|---|---|---|---|---|---|",
    ]
    for statement, conditions in rows.items():
        condition = "; ".join(dict.fromkeys(conditions))
        cells = (
            statement.where,
            statement.effect,
            statement.principal,
            statement.actions,
            statement.resources,
            condition,
            statement.reason or "",
        )
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    # As code, where Markdown and HTML would take the signs for their own.
    return f"`{text}`" if any(sign in text for sign in "<*") and "`" not in text else text


def written(page: str, statements: list[Permission]) -> str:
    """Return the page with this table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(statements)}\n\n{END}{after}"


def _permission(kind: str, where: str, statement: Mapping[str, Any]) -> Permission:
    turned = [key for key in statement if key.startswith("Not")]
    if turned:
        raise ValueError(f"{where} has {turned[0]}, which this table does not read: name what is meant instead")
    actions = ", ".join(sorted(map(_text, _list(statement["Action"]))))
    resources = ", ".join(sorted(map(_text, _list(statement.get("Resource", "")))))
    identity = statement.get("Principal", "")
    principal = (
        "; ".join(f"{key}: {', '.join(sorted(map(_text, _list(value))))}" for key, value in identity.items())
        if isinstance(identity, dict)
        else _text(identity)
    )
    condition = "; ".join(
        f"{operator} {key} {', '.join(map(_text, _list(value)))}"
        for operator, tests in statement.get("Condition", {}).items()
        for key, value in tests.items()
    )
    reason: str | None = ""
    if statement["Effect"] == "Allow" and "*" in f"{principal}{actions}{resources}":
        subject = f"{principal} {actions} {resources}".strip()
        reason = next(
            (why for type_, pattern, why in REASONS if type_ == kind and re.fullmatch(pattern, subject)), None
        )
    return Permission(kind, where, statement["Effect"], principal, actions, resources, condition, reason)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(name: str) -> str:
    return _HASH.sub("", name)


def _text(value: Any) -> str:
    """An intrinsic function as readable text: ``<Name.Arn>``."""
    if isinstance(value, dict):
        ((function, argument),) = value.items()
        if function == "Ref":
            return f"<{_plain(str(argument)).removeprefix('AWS::')}>"
        if function == "Fn::GetAtt":
            return f"<{_plain(argument[0])}>" if argument[1] == "Arn" else f"<{_plain(argument[0])}.{argument[1]}>"
        if function == "Fn::Join":
            return str(argument[0]).join(map(_text, argument[1]))
        return json.dumps(value)
    return str(value)


def _iter_template(folder: Path, environment: str) -> Iterator[Mapping[str, Any]]:
    context = json.loads((PROJECT_ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(context={**context, "env": environment}, outdir=str(folder), analytics_reporting=False)
    build(app)
    for stack in app.synth().stacks:
        yield stack.template


def main() -> int:
    """Write the page; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        templates = _iter_template(Path(folder), "prod")
        listed = [permission for template in templates for permission in permissions(template)]
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), listed), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
