"""The stack of the benchmark on AWS."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk.assertions import Template

from tools.bench_aws.app import BenchStack
from tools.bench_aws.subjects import combinations


def test_each_subject_is_a_function_without_public_access() -> None:
    subjects = combinations(
        "loupe-bench-abc", models=["hair-type"], memories=[512, 1769], architectures=["x86_64"], snap_start=True
    )
    template = Template.from_stack(BenchStack(cdk.App(), "Bench", subjects))
    functions = template.find_resources("AWS::Lambda::Function").values()
    properties = {function["Properties"]["FunctionName"]: function["Properties"] for function in functions}
    assert properties.keys() == {subject.function for subject in subjects}
    for subject in subjects:
        values = properties[subject.function]
        assert values["MemorySize"] == subject.memory_mib
        assert values["SnapStart"] == {"ApplyOn": "PublishedVersions" if subject.snap_start else "None"}
        assert values["Environment"]["Variables"]["LOUPE_LOG_LEVEL"] == "DEBUG"
    types = {resource["Type"] for resource in template.to_json()["Resources"].values()}
    assert types == {
        "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::Lambda::Alias", "AWS::Lambda::Function", "AWS::Lambda::Version",
        "AWS::Logs::LogGroup",
    }  # fmt: skip
    assert all(group["DeletionPolicy"] == "Delete" for group in template.find_resources("AWS::Logs::LogGroup").values())
