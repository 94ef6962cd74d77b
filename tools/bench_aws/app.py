"""The CDK app of the benchmark: a function for each subject, in a stack that is deleted afterwards.

Context ``bench`` has the subjects as JSON; ``python -m tools.bench_aws`` passes it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from infra.components.classifier_function import ClassifierFunction
from infra.deployment import Deployment
from infra.paths import PROJECT_ROOT
from infra.settings import FunctionSettings, ImageSettings, InputSettings
from tools.bench_aws.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constructs import Construct


class BenchStack(cdk.Stack):
    """The measured functions; only the benchmark calls them."""

    def __init__(self, scope: Construct, id: str, subjects: Sequence[Subject], **options: Any) -> None:
        super().__init__(scope, id, **options)
        for number, subject in enumerate(subjects):
            classifier = ClassifierFunction(
                self,
                f"Subject{number}",
                deployment=Deployment(
                    environment=subject.function.removeprefix("loupe-"),
                    log_retention=logs.RetentionDays.ONE_DAY,
                    tracing=False,
                ),
                model=PROJECT_ROOT / "models" / subject.model,
                image=ImageSettings(),
                function=FunctionSettings(
                    memory_mib=subject.memory_mib,
                    architecture=subject.architecture,
                    log_level="DEBUG",
                ),
                inputs=InputSettings(),
            )
            resource = classifier.function.node.default_child
            if subject.snap_start and isinstance(resource, lambda_.CfnFunction):
                resource.snap_start = lambda_.CfnFunction.SnapStartProperty(apply_on="PublishedVersions")


def context(subjects: Sequence[Subject]) -> str:
    """Return the value of context ``bench``."""
    return json.dumps([asdict(subject) for subject in subjects])


def main() -> int:
    app = cdk.App()
    bench = app.node.try_get_context("bench")
    subjects = [Subject(**values) for values in json.loads(bench)]
    BenchStack(app, f"Loupe-{subjects[0].function.removeprefix('loupe-').rpartition('-')[0]}", subjects)
    cdk.Tags.of(app).add("Project", "loupe")
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
