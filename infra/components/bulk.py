"""Bulk jobs: the state machine, its two functions, their bucket, and what each may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.bulk_rates import BulkLoad, rates
from infra.components.acknowledge import acknowledge, acknowledge_inline
from infra.components.bulk_alarms import add_arrivals_alarms, add_bulk_alarms, add_bulk_graphs
from infra.components.bulk_arrivals import Arrivals
from infra.components.bulk_definition import definition
from infra.components.bulk_results import FAILURES, JOBS, UPLOADS, ResultsBucket
from infra.components.classifier_function import MAX_VARIABLES_BYTES
from infra.components.container_function import ContainerFunction
from infra.components.container_image import ContainerImage
from infra.components.grants import grant
from infra.components.monitoring import Monitoring
from infra.components.upload_bucket import grant_read
from infra.deployment import Deployment
from infra.settings import SettingsError
from infra.settings.bulk import INPUTS, JOBS_CONCURRENCY, BulkSettings

ALIAS = "live"
# ARNs, a bucket's name twice, rates: what the jobs function has in addition to the classifier's variables.
OTHER_VARIABLES_BYTES = 1_000
JOBS_MEMORY_MIB = 512
# API Gateway waits 29 s for a route; a summary may take longer, and is not an HTTP request.
JOBS_TIMEOUT_SECONDS = 300


class Bulk(Construct):
    """Bulk jobs, with concurrency that is separate from the endpoint's.

    Parameters
    ----------
    image, variables
        Of the classifier: the same image with other entry points, and the variables of its core.
    locations
        ``inputs.s3.locations``: buckets and prefixes that jobs may read besides the results bucket's ``inputs/``.
    auth_mode
        ``auth.mode``: which identity of a request owns its jobs.

    Attributes
    ----------
    jobs
        Alias of the function behind the job routes.
    outputs
        Of the stack: value and description by name.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: BulkSettings,
        image: ContainerImage,
        variables: Mapping[str, str],
        locations: Sequence[str],
        auth_mode: str,
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._settings, self._locations = deployment, settings, locations
        self.name = f"{deployment.name}-bulk"
        self.results = ResultsBucket(
            self, "Results", deployment=deployment, days=settings.results_days, events=settings.on_upload.enabled
        )
        shared = {
            # Jobs read from S3 alone.
            **{name: value for name, value in variables.items() if not name.startswith("LOUPE_URL_")},
            "LOUPE_BULK_RESULTS_BUCKET": self.results.bucket.bucket_name,
            "LOUPE_S3_LOCATIONS": ",".join((*locations, self.results.inputs)),
        }
        _check_variables(deployment.environment, variables, locations)
        self.bulk = self._bulk_function(image, shared)
        self.function = self.bulk.function
        self.alias = alias = self.bulk.add_alias(ALIAS, description="The version that the next job starts with")
        self.jobs_container = self._jobs_function(image, shared, auth_mode)
        self.jobs = self.jobs_container.add_alias(ALIAS, description="What the job routes call")
        if "LOUPE_MODELS" in variables:
            # A job may name a model that only the new version of the bulk function has.
            self.jobs.node.add_dependency(alias)
        self.state_machine = self._state_machine()
        self.arrivals = (
            Arrivals(
                self,
                "Arrivals",
                deployment=deployment,
                settings=settings.on_upload,
                bucket=self.results.bucket,
                function=self.bulk,
                alias=alias,
                timeout=self.bulk.timeout,
            )
            if settings.on_upload.enabled
            else None
        )
        self.outputs: dict[str, tuple[str, str | None]] = {
            "BulkBucket": (self.results.bucket.bucket_name, "Inputs of bulk jobs below inputs/, results below jobs/"),
            "BulkStateMachineArn": (self._arn("stateMachine", self.name), None),
        }
        if self.arrivals is not None and self.arrivals.topic is not None:
            self.outputs["ArrivalsTopicArn"] = (self.arrivals.topic.topic_arn, "A message for each classified upload")

    def monitor(self, monitoring: Monitoring) -> None:
        """Add alarms and dashboard graphs."""
        add_bulk_alarms(monitoring, self.function, self.jobs_container.function, self.state_machine.ref)
        queues = None
        if self.arrivals is not None:
            queues = (self.arrivals.queue, self.arrivals.dead_letters)
            add_arrivals_alarms(monitoring, *queues)
        add_bulk_graphs(monitoring, self.function, self.state_machine.ref, queues[0] if queues else None)

    def _bulk_function(self, image: ContainerImage, variables: Mapping[str, str]) -> ContainerFunction:
        settings = self._settings
        bulk = ContainerFunction(
            self,
            "Function",
            deployment=self._deployment,
            name=self.name,
            description="Classifies batches of bulk jobs",
            image=image,
            command="bulk.handler",
            memory_mib=settings.memory_mib,
            timeout=cdk.Duration.seconds(settings.timeout_seconds),
            environment=variables,
            reserved_concurrency=settings.reserved_concurrency,
        )
        for location in self._locations:
            grant_read(bulk.role, location)
        self.results.allow(
            bulk.role, reads=(f"{INPUTS}*", f"{JOBS}*", f"{UPLOADS}*"), writes=(f"{JOBS}*", f"{UPLOADS}*")
        )
        # An attempt looks for the rows of the one before: without this, S3 answers 403 in place of 404 where there are
        # none (S3 API reference, GetObject, 'Permissions'). A condition on s3:prefix would not be met by GetObject.
        grant(bulk.role, ("s3:ListBucket",), self.results.bucket.bucket_arn)
        return bulk

    def _jobs_function(self, image: ContainerImage, variables: Mapping[str, str], auth_mode: str) -> ContainerFunction:
        settings = self._settings
        load = BulkLoad(
            batch_items=settings.batch_items,
            concurrency=settings.max_concurrency,
            memory_mib=settings.memory_mib,
            seconds_per_image=settings.seconds_per_image,
            architecture=image.architecture,
            kms=self._deployment.encryption_key is not None,
        )
        jobs = ContainerFunction(
            self,
            "Jobs",
            deployment=self._deployment,
            name=f"{self._deployment.name}-jobs",
            description="Starts, shows, stops and sums up bulk jobs",
            image=image,
            command="jobs.handler",
            memory_mib=JOBS_MEMORY_MIB,
            timeout=cdk.Duration.seconds(JOBS_TIMEOUT_SECONDS),
            environment={
                **variables,
                **rates(load),
                "LOUPE_AUTH_MODE": auth_mode,
                "LOUPE_BULK_STATE_MACHINE_ARN": self._arn("stateMachine", self.name),
                "LOUPE_BULK_FUNCTION_ARN": self.function.function_arn,
                "LOUPE_BULK_MAX_CONCURRENCY": str(settings.max_concurrency),
                "LOUPE_BULK_BATCH_ITEMS": str(settings.batch_items),
            },
            reserved_concurrency=None if settings.reserved_concurrency is None else JOBS_CONCURRENCY,
        )
        for location in self._locations:
            grant_read(jobs.role, location)
            self._allow_list(jobs.role, location)
        self.results.allow(jobs.role, reads=(f"{INPUTS}*", f"{JOBS}*"), writes=(f"{JOBS}*",))
        self.results.allow_list(jobs.role, (INPUTS, JOBS))
        grant(jobs.role, ("states:StartExecution", "states:ListExecutions"), self._arn("stateMachine", self.name))
        of_jobs = ("DescribeExecution", "StopExecution", "RedriveExecution", "ListMapRuns")
        grant(jobs.role, tuple(f"states:{action}" for action in of_jobs), self._arn("execution", f"{self.name}:*"))
        grant(jobs.role, ("states:DescribeMapRun",), self._arn("mapRun", f"{self.name}/*"))
        grant(jobs.role, ("lambda:GetAlias",), self.function.function_arn, f"{self.function.function_arn}:{ALIAS}")
        self._acknowledge_wildcards(jobs.role, f"execution:{self.name}:*", f"mapRun:{self.name}/*")
        return jobs

    def _state_machine(self) -> stepfunctions.CfnStateMachine:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description=f"What {self.name} may do: read sources, run batches, write what they return",
        )
        log_group = self._deployment.log_group(self, "Log")
        text = cdk.Stack.of(self).to_json_string(
            definition(
                settings=self._settings,
                partition=cdk.Aws.PARTITION,
                results_bucket=self.results.bucket.bucket_name,
                jobs_function=self.jobs.function_arn,
                summary_seconds=JOBS_TIMEOUT_SECONDS,
            )
        )
        machine = stepfunctions.CfnStateMachine(
            self,
            "StateMachine",
            state_machine_name=self.name,
            state_machine_type="STANDARD",
            role_arn=role.role_arn,
            definition_string=text,
            logging_configuration=stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
                destinations=[
                    stepfunctions.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=stepfunctions.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                            log_group_arn=log_group.log_group_arn
                        )
                    )
                ],
                level="ERROR",
                include_execution_data=False,
            ),
            tracing_configuration=stepfunctions.CfnStateMachine.TracingConfigurationProperty(
                enabled=self._deployment.tracing
            ),
        )
        self._allow_state_machine(role)
        # Step Functions checks the role's log and trace permissions when it makes the state machine.
        machine.node.add_dependency(role)
        acknowledge(
            machine,
            "AwsSolutions-SF1",
            "Errors are logged, with no payloads. ALL would log several events for each batch, of which a job may have "
            "millions; executions and Map Runs show the same for 90 days.",
        )
        if not self._deployment.tracing:
            acknowledge(machine, "AwsSolutions-SF2", "function.tracing is off: nothing of this deployment is traced.")
        return machine

    def _allow_state_machine(self, role: iam.Role) -> None:
        for location in self._locations:
            grant_read(role, location)
            self._allow_list(role, location)
        self.results.allow(role, reads=(f"{INPUTS}*", FAILURES))
        self.results.allow_map_results(role)
        self.results.allow_list(role, (INPUTS,))
        # Versions: a job names the one that it started with.
        grant(role, ("lambda:InvokeFunction",), f"{self.function.function_arn}:*", self.jobs.function_arn)
        # Children of a Distributed Map are executions of the same state machine (Step Functions developer guide, 'IAM
        # policies for using Distributed Map states').
        grant(role, ("states:StartExecution",), self._arn("stateMachine", self.name))
        # The CDK's own grant names executions by the first form; those of a Map Run have its label in their name.
        executions = (f"{self.name}:*", f"{self.name}/*")
        grant(
            role,
            ("states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"),
            *(self._arn("execution", name) for name in executions),
        )
        logs = (
            "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
            "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
        )  # fmt: skip
        grant(role, tuple(f"logs:{action}" for action in logs), "*")
        if self._deployment.tracing:
            traces = ("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets")
            grant(role, tuple(f"xray:{action}" for action in traces), "*")
        policy = role.node.find_child("DefaultPolicy")
        self._acknowledge_wildcards(role, *(f"execution:{name}" for name in executions))
        function = cdk.Stack.of(self).resolve(self.function.function_arn)["Fn::GetAtt"][0]
        acknowledge(
            policy,
            f"AwsSolutions-IAM5[Resource::<{function}.Arn>:*]",
            "A job goes on with the version of the bulk function that it started with; versions have no other names.",
        )
        acknowledge(
            policy,
            "AwsSolutions-IAM5[Resource::*]",
            "Log delivery and X-Ray take no resource (Step Functions developer guide, 'Logging using CloudWatch Logs' "
            "and 'Trace Step Functions request data').",
        )
        acknowledge_inline(policy)

    def _allow_list(self, role: iam.IRole, location: str) -> None:
        """Let a role list a location, which a job over a prefix does."""
        bucket, _, prefix = location.partition("/")
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[f"arn:{cdk.Aws.PARTITION}:s3:::{bucket}"],
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*"]}} if prefix else None,
            )
        )

    def _acknowledge_wildcards(self, role: iam.IRole, *resources: str) -> None:
        stack = cdk.Stack.of(self)
        # As cdk-nag prints an ARN: a pseudo parameter in angle brackets, or the value that the environment gives.
        partition, region, account = (
            f"<AWS::{name}>" if cdk.Token.is_unresolved(value) else value
            for name, value in (
                ("Partition", stack.partition),
                ("Region", stack.region),
                ("AccountId", stack.account),
            )
        )
        for resource in resources:
            acknowledge(
                role.node.find_child("DefaultPolicy"),
                f"AwsSolutions-IAM5[Resource::arn:{partition}:states:{region}:{account}:{resource}]",
                "Executions and Map Runs of this state machine alone; their names are made as jobs start.",
            )

    def _arn(self, resource: str, name: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="states", resource=resource, resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
        )


def _check_variables(environment: str, variables: Mapping[str, str], locations: Sequence[str]) -> None:
    """Raise SettingsError where the functions' variables could be more than Lambda takes."""
    variables_bytes = sum(len(name) + len(value.encode()) for name, value in variables.items())
    if variables_bytes + OTHER_VARIABLES_BYTES > MAX_VARIABLES_BYTES:
        raise SettingsError(
            f"environments.{environment}.bulk: with its own variables its functions could have "
            f"{variables_bytes + OTHER_VARIABLES_BYTES} bytes of them, and Lambda takes {MAX_VARIABLES_BYTES}: shorten "
            f"inputs.s3.locations ({len(locations)} now), inputs.url.hosts or api.cors_origins."
        )
