"""Bulk jobs in the template: functions, reserves, permissions, job routes, classify on upload, and all of it off."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.components.bulk_definition import RETRY
from infra.contract import read_contract
from infra.settings import SettingsError, load_settings
from infra.settings.bulk import JOBS_CONCURRENCY
from tests.infra.synthesis import ROOT, Synthesized, context, synthesize
from tools.policies import permissions

UPLOADS = {"enabled": True, "notify": True, "prefix": "inputs/new/", "max_concurrency": 3, "attempts": 4}
RESERVED, JOB_CONCURRENCY = 50, 40
STATES = "arn:<Partition>:states:<Region>:<AccountId>"
READS = "arn:<Partition>:s3:::archive/2026/a/*, arn:<Partition>:s3:::pictures/*"
RESULTS = "<BulkResultsBucket>"
LISTS = {
    ("s3:ListBucket", "arn:<Partition>:s3:::archive"),
    ("s3:ListBucket", "arn:<Partition>:s3:::pictures"),
    ("s3:ListBucket", RESULTS),
}
TRACES = "xray:PutTelemetryRecords, xray:PutTraceSegments"
RECEIVE = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ReceiveMessage")
LOG_DELIVERY = (
    "CreateLogDelivery", "DeleteLogDelivery", "DescribeLogGroups", "DescribeResourcePolicies", "GetLogDelivery",
    "ListLogDeliveries", "PutResourcePolicy", "UpdateLogDelivery",
)  # fmt: skip
# What every role may do, and nothing else.
ROLES: dict[str, set[tuple[str, str]]] = {
    "BulkFunctionRoleDefaultPolicy": {
        ("logs:CreateLogStream, logs:PutLogEvents", "<BulkFunctionLogs>"),
        (TRACES, "*"),
        ("s3:GetObject, s3:GetObjectVersion", READS),
        ("s3:GetObject", f"{RESULTS}/inputs/*, {RESULTS}/jobs/*, {RESULTS}/uploads/*"),
        ("s3:PutObject", f"{RESULTS}/jobs/*, {RESULTS}/uploads/*"),
        ("s3:ListBucket", RESULTS),
        ("kms:Decrypt, kms:GenerateDataKey", "<DataKey>"),
        ("kms:Decrypt", "<DataKey>"),
        (
            ", ".join(f"sqs:{action}" for action in RECEIVE),
            "<BulkArrivalsQueue>",
        ),
        ("sns:Publish", "<BulkArrivalsResults>"),
    },
    "BulkJobsRoleDefaultPolicy": {
        ("logs:CreateLogStream, logs:PutLogEvents", "<BulkJobsLogs>"),
        (TRACES, "*"),
        ("s3:GetObject, s3:GetObjectVersion", READS),
        ("s3:GetObject", f"{RESULTS}/inputs/*, {RESULTS}/jobs/*"),
        ("s3:PutObject", f"{RESULTS}/jobs/*"),
        *LISTS,
        ("kms:Decrypt, kms:GenerateDataKey", "<DataKey>"),
        ("states:ListExecutions, states:StartExecution", f"{STATES}:stateMachine:loupe-prod-bulk"),
        (
            "states:DescribeExecution, states:ListMapRuns, states:RedriveExecution, states:StopExecution",
            f"{STATES}:execution:loupe-prod-bulk:*",
        ),
        ("states:DescribeMapRun", f"{STATES}:mapRun:loupe-prod-bulk/*"),
        ("lambda:GetAlias", "<BulkFunction>, <BulkFunction>:live"),
    },
    "BulkRoleDefaultPolicy": {
        ("s3:GetObject, s3:GetObjectVersion", READS),
        ("s3:GetObject", f"{RESULTS}/inputs/*, {RESULTS}/jobs/*/failures.jsonl, {RESULTS}/jobs/*/map/*"),
        ("s3:AbortMultipartUpload, s3:ListMultipartUploadParts, s3:PutObject", f"{RESULTS}/jobs/*/map/*"),
        *LISTS,
        ("kms:Decrypt, kms:GenerateDataKey", "<DataKey>"),
        ("lambda:InvokeFunction", "<BulkFunction>:*, <BulkJobsFunctionAliaslive>"),
        ("states:StartExecution", f"{STATES}:stateMachine:loupe-prod-bulk"),
        (
            "states:DescribeExecution, states:RedriveExecution, states:StopExecution",
            f"{STATES}:execution:loupe-prod-bulk/*, {STATES}:execution:loupe-prod-bulk:*",
        ),
        (
            ", ".join(
                (
                    *(f"logs:{action}" for action in LOG_DELIVERY),
                    "xray:GetSamplingRules, xray:GetSamplingTargets",
                    TRACES,
                )
            ),
            "*",
        ),
    },
}


@pytest.fixture(scope="module")
def full() -> Synthesized:
    """Prod with locations and classify on upload."""
    patch = {
        "inputs": {"s3": {"locations": ["pictures", "archive/2026/a/"]}},
        "bulk": {"batch_items": 30, "on_upload": UPLOADS},
    }
    return synthesize("prod", patch)


@pytest.fixture(scope="module")
def without() -> Synthesized:
    return synthesize("prod", {"bulk": {"enabled": False}})


def function(template: Synthesized, command: str) -> dict[str, Any]:
    (properties,) = (
        resource["Properties"]
        for resource in template.resources("AWS::Lambda::Function").values()
        if resource["Properties"].get("ImageConfig", {}).get("Command") == [command]
    )
    return dict(properties)


def only(template: Synthesized, kind: str) -> dict[str, Any]:
    (resource,) = (candidate for name, candidate in template.resources(kind).items() if name.startswith("Bulk"))
    return dict(resource["Properties"])


def test_the_state_machine_has_the_definition_of_the_settings(full: Synthesized) -> None:
    machine = only(full, "AWS::StepFunctions::StateMachine")
    parts = machine["DefinitionString"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else str(next(iter(part.values()))[0]) for part in parts)
    states = json.loads(text)["States"]
    assert states["JsonLines"]["ItemBatcher"]["MaxItemsPerBatch"] == 30
    assert states["JsonLines"]["ItemProcessor"]["States"]["JsonLinesBatch"]["Retry"] == RETRY
    assert (machine["StateMachineName"], machine["StateMachineType"]) == ("loupe-prod-bulk", "STANDARD")
    # Payloads name callers' objects.
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
    assert machine["TracingConfiguration"] == {"Enabled": True}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_its_part_of_a_job_needs(full: Synthesized, role: str) -> None:
    allowed = [
        (permission.actions, permission.resources)
        for permission in permissions(full.template)
        if permission.where == role
    ]
    assert set(allowed) == ROLES[role]


@pytest.mark.parametrize("role", ["BulkJobsRole", "BulkRole"])
def test_listing_is_limited_to_the_prefixes_of_jobs(full: Synthesized, role: str) -> None:
    conditions = {}
    for name, policy in full.resources("AWS::IAM::Policy").items():
        if re.fullmatch(rf"{role}DefaultPolicy[0-9A-F]{{8}}", name):
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Action"] == "s3:ListBucket":
                    bucket = json.dumps(statement["Resource"])
                    prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
                    key = "results" if "BulkResults" in bucket else bucket.split(":s3:::")[1].rstrip('"]}')
                    conditions[key] = prefixes if isinstance(prefixes, list) or prefixes is None else [prefixes]
    results = ["inputs/*", "jobs/*"] if role == "BulkJobsRole" else ["inputs/*"]
    # A location without a prefix is the whole bucket.
    assert conditions == {"pictures": None, "archive": ["2026/a/*"], "results": results}


def test_jobs_have_concurrency_of_their_own(full: Synthesized) -> None:
    """The endpoint's reserve is its own: a job cannot use it, and neither starve the routes of jobs."""
    reserves = [
        resource["Properties"].get("ReservedConcurrentExecutions")
        for resource in full.of_endpoint("AWS::Lambda::Function").values()
    ]
    assert reserves == [50]
    bulk, jobs = function(full, "bulk.handler"), function(full, "jobs.handler")
    assert bulk["ReservedConcurrentExecutions"] == RESERVED
    assert jobs["ReservedConcurrentExecutions"] == JOBS_CONCURRENCY
    assert jobs["Environment"]["Variables"]["LOUPE_BULK_MAX_CONCURRENCY"] == str(JOB_CONCURRENCY)


def test_both_functions_have_the_image_of_the_endpoint_and_no_networks_to_fetch_from(full: Synthesized) -> None:
    endpoint = full.only("AWS::Lambda::Function")
    for command in ("bulk.handler", "jobs.handler"):
        properties = function(full, command)
        assert properties["Code"] == endpoint["Code"]
        variables = properties["Environment"]["Variables"]
        assert not [name for name in variables if name.startswith("LOUPE_URL_")]
        assert "LOUPE_BULK_RESULTS_BUCKET" in variables


def test_a_version_stays_for_the_jobs_that_started_with_it(full: Synthesized) -> None:
    (version,) = (
        resource
        for name, resource in full.resources("AWS::Lambda::Version").items()
        if name.startswith("BulkFunctionCurrentVersion")
    )
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_results_bucket_is_private_encrypted_and_expires(full: Synthesized) -> None:
    bucket = only(full, "AWS::S3::Bucket")
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["BucketKeyEnabled"] is True
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["Status"]) == (90, "Enabled")


def test_job_routes_reach_the_jobs_function_with_the_authentication_of_the_endpoint(full: Synthesized) -> None:
    expected = {(route.method, route.path) for route in read_contract(ROOT / "docs" / "openapi.json").job_routes}
    assert len(expected) >= 6
    resources = full.resources("AWS::ApiGateway::Resource")

    def path(logical_id: str) -> str:
        properties = resources[logical_id]["Properties"]
        parent = properties["ParentId"].get("Ref")
        return f"{path(parent) if parent else ''}/{properties['PathPart']}"

    attached = {}
    for resource in full.resources("AWS::ApiGateway::Method").values():
        method = resource["Properties"]
        if "Ref" in method["ResourceId"] and "BulkJobsFunctionAlias" in json.dumps(method.get("Integration", {})):
            attached[method["HttpMethod"], path(method["ResourceId"]["Ref"])] = method
    # OPTIONS is open, as browsers send preflights without credentials.
    assert {key for key in attached if key[0] not in ("HEAD", "OPTIONS")} == expected - {
        key for key in expected if key[0] == "HEAD"
    }
    assert {method["ApiKeyRequired"] for (verb, _), method in attached.items() if verb != "OPTIONS"} == {True}


def test_uploads_reach_the_bulk_function_through_a_queue(full: Synthesized) -> None:
    bucket, rule = only(full, "AWS::S3::Bucket"), only(full, "AWS::Events::Rule")
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "inputs/new/"}]}
    assert "BulkResultsBucket" in json.dumps(rule["EventPattern"]["detail"]["bucket"])
    queues = {
        name.removeprefix("BulkArrivals")[:-8]: queue["Properties"]
        for name, queue in full.resources("AWS::SQS::Queue").items()
    }
    assert set(queues) == {"Queue", "DeadLetters"}
    (target,) = rule["Targets"]
    assert "BulkArrivalsQueue" in json.dumps(target["Arn"])
    redrive = queues["Queue"]["RedrivePolicy"]
    assert (redrive["maxReceiveCount"], "BulkArrivalsDeadLetters" in json.dumps(redrive)) == (4, True)
    # Lambda developer guide: at least six times the function's timeout.
    timeout = function(full, "bulk.handler")["Timeout"]
    assert queues["Queue"]["VisibilityTimeout"] >= 6 * timeout
    for queue in queues.values():
        assert "DataKey" in json.dumps(queue["KmsMasterKeyId"])
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_messages_for_uploads_are_encrypted_by_a_role_that_may_use_the_key_through_sns(full: Synthesized) -> None:
    (policy,) = (
        resource["Properties"]["PolicyDocument"]["Statement"]
        for name, resource in full.resources("AWS::IAM::Policy").items()
        if name.startswith("BulkFunctionRole")
    )
    services = {
        json.dumps(statement["Condition"]["StringEquals"]["kms:ViaService"]).partition(".")[0].rpartition('"')[2]
        for statement in policy
        if "kms:GenerateDataKey" in statement["Action"]
    }
    assert services == {"s3", "sns"}


def test_a_single_failed_job_or_crash_is_enough_for_an_alarm(full: Synthesized) -> None:
    alarms = {
        resource["Properties"]["AlarmName"]: resource["Properties"]
        for resource in full.resources("AWS::CloudWatch::Alarm").values()
    }
    for name in ("BulkJobsFailed", "JobsFunctionErrors"):
        alarm = alarms[f"loupe-prod-{name}"]
        assert (alarm["Threshold"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (1, 1, 5)


def test_failed_uploads_return_to_the_queue_alone(full: Synthesized) -> None:
    source = only(full, "AWS::Lambda::EventSourceMapping")
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 3}
    # The alias, which an operator may point to an earlier version.
    assert "BulkFunctionAliaslive" in json.dumps(source["FunctionName"])
    assert "BulkArrivalsQueue" in json.dumps(source["EventSourceArn"])
    assert "LOUPE_ON_UPLOAD_TOPIC_ARN" in function(full, "bulk.handler")["Environment"]["Variables"]


def test_jobs_and_uploads_have_alarms(full: Synthesized, prod: Synthesized) -> None:
    def alarms(template: Synthesized) -> set[str]:
        names = {re.sub(r"[0-9A-F]{8}$", "", name) for name in template.resources("AWS::CloudWatch::Alarm")}
        return {name for name in names if re.search("Bulk|Jobs|Arrivals", name)}

    jobs, uploads = alarms(prod), alarms(full)
    assert len(jobs) == 3
    assert {name.removeprefix("Alarms").removeprefix("Monitoring") for name in uploads - jobs} == {
        "ArrivalsAge", "ArrivalsDeadLetters",
    }  # fmt: skip


def test_disabled_bulk_jobs_leave_nothing_behind(without: Synthesized, prod: Synthesized) -> None:
    added = set(prod.template["Resources"]) - set(without.template["Resources"])
    assert len(added) > 30
    text = json.dumps(without.template)
    for word in ("Bulk", "v1jobs", "LOUPE_JOBS", "AWS/States", "loupe-prod-jobs"):
        assert word in json.dumps(prod.template)
        assert word not in text
    resources, others = without.template["Resources"], prod.template["Resources"]
    different = [name for name, resource in resources.items() if name in others and resource != others[name]]
    # The alias, the stage and alarms of a release name the version and the deployment, which have a hash of what they
    # contain.
    assert {name for name in different if resources[name]["Type"] == "AWS::CloudWatch::Alarm"} == {
        name for name in resources if name.startswith("MonitoringRelease")
    }
    assert {resources[name]["Type"] for name in different} == {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Lambda::Alias",
        "AWS::ApiGateway::Stage",
        "AWS::Lambda::Function",
    }
    before, after = ({**template.only("AWS::Lambda::Function")} for template in (without, prod))
    after["Environment"] = {"Variables": {**after["Environment"]["Variables"]}}
    assert after["Environment"]["Variables"].pop("LOUPE_JOBS") == "true"
    assert after == before


def test_settings_of_disabled_bulk_jobs_change_nothing(without: Synthesized) -> None:
    patch = {"bulk": {"enabled": False, "memory_mib": 4096, "batch_items": 7, "results_days": 5}}
    assert synthesize("prod", patch).template == without.template


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"enabled": False, "on_upload": {"enabled": True}}, "on_upload.enabled needs enabled"),
        ({"reserved_concurrency": 5, "max_concurrency": 6}, r"reserved_concurrency \(5\) is below max_concurrency"),
        (
            {"reserved_concurrency": 5, "max_concurrency": 4, "on_upload": {"enabled": True, "max_concurrency": 2}},
            r"below max_concurrency and on_upload.max_concurrency \(6\)",
        ),
        ({"timeout_seconds": 901}, "timeout_seconds"),
        (
            {"batch_items": 1000, "seconds_per_image": 0.5},
            r"a batch takes 500 s \(batch_items, 1000, times seconds_per_image, 0.5\).*timeout_seconds \(300\)",
        ),
        ({"batch_items": 0}, "batch_items"),
        ({"max_concurrency": 10_001}, "max_concurrency"),
        ({"on_upload": {"prefix": "uploads/"}}, "prefix"),
        ({"on_upload": {"prefix": "inputs/new"}}, "prefix"),
        ({"on_upload": {"max_concurrency": 1}}, "max_concurrency"),
        ({"concurrency": 1}, "concurrency"),
    ],
)
def test_settings_that_cannot_work_are_rejected(patch: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(context(), "prod", {"bulk": patch})
