"""How two templates of one stack are compared: what CloudFormation keeps, replaces, and would create twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

Template = Mapping[str, Any]

# Their values are documents, which an update replaces as a whole; a key within one is not a property.
DOCUMENTS = frozenset(
    {"Policy", "PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument", "Variables", "ResponseParameters",
     "ResponseTemplates", "DashboardBody"}
)  # fmt: skip


@dataclass(frozen=True)
class Schema:
    """Of a resource type, what CloudFormation replaces it for, and what is unique about it."""

    create_only: frozenset[str]
    identifier: tuple[str, ...]
    read_only: frozenset[str]


@cache
def _schemas() -> Any:
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    return PROVIDER_SCHEMA_MANAGER


@cache
def schema(kind: str) -> Schema:
    """Read the CloudFormation schema that cfn-lint ships."""
    document = _schemas().get_resource_schema("eu-central-1", kind).schema
    return Schema(
        frozenset(map(_name, document.get("createOnlyProperties", []))),
        tuple(map(_name, document.get("primaryIdentifier", []))),
        frozenset(map(_name, document.get("readOnlyProperties", []))),
    )


@cache
def update_permissions(kind: str) -> frozenset[str]:
    """Return what the update handler of a resource type may do, by the schema."""
    document = _schemas().get_resource_schema("eu-central-1", kind).schema
    return frozenset(document["handlers"]["update"]["permissions"])


def _name(pointer: str) -> str:
    return pointer.removeprefix("/properties/").partition("/")[0]


def disappearing(before: Template, after: Template) -> Iterator[str]:
    """Properties of resources that are in both templates, and no longer set in the second: ``Type.Path``.

    Without parts of properties for which CloudFormation replaces the resource: a new one has no last value.
    """
    for name, old, new in _surviving(before, after):
        gone = _gone(old.get("Properties", {}), new.get("Properties", {}))
        create_only = schema(old["Type"]).create_only
        yield from (f"{old['Type']}.{path}" for path in gone if path.partition(".")[0] not in create_only)
        assert old["Type"] == new["Type"], name


def _gone(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key, value in old.items():
        if key not in new:
            yield key
        elif key not in DOCUMENTS and isinstance(value, dict) and isinstance(new[key], dict) and not _intrinsic(value):
            yield from (f"{key}.{path}" for path in _gone(value, new[key]))


def _intrinsic(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def replaced(before: Template, after: Template) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Resources that CloudFormation creates anew before it deletes the old one, with the properties that cause it."""
    replaced_names: set[str] = set()
    surviving = list(_surviving(before, after))
    # A reference to a replaced resource is another value, too.
    for _ in range(3):
        for name, old, new in surviving:
            for key in schema(old["Type"]).create_only:
                one, other = old.get("Properties", {}).get(key), new.get("Properties", {}).get(key)
                if one != other or _refers(other, replaced_names):
                    replaced_names.add(name)
    for name, old, new in surviving:
        if name in replaced_names:
            yield name, old["Type"], old.get("Properties", {}), new.get("Properties", {})


def _refers(value: Any, names: set[str]) -> bool:
    if isinstance(value, dict):
        if "Ref" in value:
            return value["Ref"] in names
        if "Fn::GetAtt" in value:
            return value["Fn::GetAtt"][0] in names
        return any(_refers(item, names) for item in value.values())
    return isinstance(value, list) and any(_refers(item, names) for item in value)


def _surviving(before: Template, after: Template) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    new = after["Resources"]
    for name, resource in before["Resources"].items():
        if name in new:
            yield name, resource, new[name]


# What may exist once, beside the primary identifiers of the schemas: API Gateway developer guide, 'Create API keys' and
# 'Usage plans' (a key has one plan for each stage); WAF API reference, CreateIPSet and CreateWebACL (names);
# Cognito, CreateUserPoolDomain; CloudWatch dashboards and alarms are identified by their names.
UNIQUE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "AWS::ApiGateway::ApiKey": (("Value",), ("Name",)),
    "AWS::ApiGateway::UsagePlanKey": (("KeyId", "Stage"),),
    "AWS::ApiGateway::GatewayResponse": (("RestApiId", "ResponseType"),),
    "AWS::ApiGateway::Resource": (("RestApiId", "ParentId", "PathPart"),),
    "AWS::ApiGateway::Authorizer": (("RestApiId", "Name"),),
    "AWS::WAFv2::WebACL": (("Name", "Scope"),),
    "AWS::WAFv2::IPSet": (("Name", "Scope"),),
    "AWS::WAFv2::WebACLAssociation": (("ResourceArn",),),
    "AWS::Cognito::UserPoolDomain": (("Domain",),),
    "AWS::ApplicationAutoScaling::ScalableTarget": (("ResourceId", "ScalableDimension"),),
    "AWS::ApplicationAutoScaling::ScalingPolicy": (("PolicyName", "ResourceId", "ScalableDimension"),),
    "AWS::Lambda::Alias": (("FunctionName", "Name"),),
    "AWS::Route53::RecordSet": (("Name", "Type", "HostedZoneId"),),
    "AWS::SecretsManager::Secret": (("Name",),),
    "AWS::S3::Bucket": (("BucketName",),),
    "AWS::IAM::Role": (("RoleName",),),
    "AWS::SNS::Topic": (("TopicName",),),
}


def identities(resource: Mapping[str, Any], template: Template) -> Iterator[tuple[str, ...]]:
    """Return the values that must be unique among resources, as far as the template sets them."""
    kind, properties = resource["Type"], resource.get("Properties", {})
    if kind == "AWS::ApiGateway::UsagePlanKey":
        plan = template["Resources"][properties["UsagePlanId"]["Ref"]]["Properties"]
        properties = {**properties, "Stage": plan["ApiStages"]}
    for keys in (schema(kind).identifier, *UNIQUE.get(kind, ())):
        if keys and all(key in properties for key in keys):
            yield (kind, *keys, json.dumps([properties[key] for key in keys], sort_keys=True))


def conflicts(before: Template, after: Template) -> Iterator[str]:
    """New or replaced resources that have what an old one still has: create comes before delete."""
    replaced_names = {name for name, *_ in replaced(before, after)}
    unreplaced = {name for name in before["Resources"] if name in after["Resources"] and name not in replaced_names}
    leaving = {
        identity: name
        for name, resource in before["Resources"].items()
        if name not in unreplaced
        for identity in identities(resource, before)
    }
    for name, resource in after["Resources"].items():
        if name not in unreplaced:
            for identity in identities(resource, after):
                # A value made of a replaced resource's attributes is another value.
                if identity in leaving and not _refers(json.loads(identity[-1]), replaced_names):
                    yield f"{resource['Type']} {name}: {', '.join(identity[1:-1])} of {leaving[identity]}"


def retained_with_a_fixed_name(before: Template, after: Template) -> Iterator[str]:
    """Resources that leave the stack and stay in the account: they are in the way when the setting comes back."""
    for name, resource in before["Resources"].items():
        leaves = name not in after["Resources"] and resource.get("DeletionPolicy", "Delete") != "Delete"
        if leaves and any(True for _ in identities(resource, before)):
            yield f"{resource['Type']} {name}"
