"""A shadow test in the template: its function, permissions, alarms and bucket; what cannot be tested; all of it off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from loupe import telemetry
from loupe.shadow.comparison import UNKNOWN
from loupe.shadow.sample import MAX_EVENT_BYTES
from loupe.shadow.settings import ShadowSettings as FunctionSettings

from infra.cards import ModelCard
from infra.challenger import MAX_EVENT_BYTES as SYNTH_BYTES
from infra.challenger import check_challenger, takes_same_pixels
from infra.components import metrics
from infra.components.classifier_endpoint import ClassifierEndpoint
from infra.components.shadow import SHADOW_VARIABLES_BYTES
from infra.metric_names import SHADOW_UNREAD
from infra.settings import Settings, SettingsError, load_settings
from tests.infra.synthesis import ROOT, Synthesized, context, synthesize
from tools.policies import permissions

SHADOW = {"shadow": {"challenger": "hair-type-large", "share": 0.1, "reserved_concurrency": 3}}


@pytest.fixture(scope="module")
def tested() -> Synthesized:
    return synthesize("prod", SHADOW)


@pytest.fixture(scope="module")
def same_pixels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The template of an endpoint whose challenger takes the pixels of the champion, as a retrained model does."""
    folder = tmp_path_factory.mktemp("same")
    for name in ("hair-type", "retrained"):
        shutil.copytree(ROOT / "models" / "hair-type", folder / "models" / name)
        change_card(folder / "models" / name, name=name)
    change_card(folder / "models" / "retrained", input={"mean": [0, 0, 0], "layout": "NCHW"})
    app = cdk.App(context=context(), outdir=str(folder / "out"), analytics_reporting=False)
    stack = cdk.Stack(app, "Stack")
    settings = load_settings(
        {"environments": {"dev": {"bulk": {"enabled": False}, "shadow": {"challenger": "retrained"}}}}, "dev"
    )
    ClassifierEndpoint(stack, "Endpoint", model=folder / "models" / "hair-type", settings=settings)
    template: dict[str, Any] = app.synth().stacks[0].template
    return template


def change_card(folder: Path, **changes: Any) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text())
    for key, value in changes.items():
        card[key] = {**card[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(card))


def functions(template: Synthesized) -> dict[str, dict[str, Any]]:
    return {item["Properties"]["FunctionName"]: item["Properties"] for item in
            template.resources("AWS::Lambda::Function").values()}  # fmt: skip


def allowed(template: Synthesized, role: str) -> set[tuple[str, str]]:
    return {
        (statement.actions, statement.resources)
        for statement in permissions(template.template)
        if statement.where == f"{role}DefaultPolicy"
    }


def test_the_challenger_runs_in_a_separate_function(tested: Synthesized) -> None:
    shadow = functions(tested)["loupe-prod-shadow"]
    champion = functions(tested)["loupe-prod"]
    assert shadow["ImageConfig"] == {"Command": ["shadow.handler"]}
    assert shadow["Code"] == champion["Code"], "one image"
    assert shadow["Environment"]["Variables"]["LOUPE_MODEL"] == "hair-type-large"
    assert shadow["ReservedConcurrentExecutions"] == 3
    assert shadow["TracingConfig"] == {"Mode": "Active"}


def test_the_image_holds_the_challenger_and_the_endpoint_does_not_serve_it(tested: Synthesized) -> None:
    assets = json.loads(next(tested.folder.glob("*.assets.json")).read_text())
    (image,) = assets["dockerImages"].values()
    assert image["source"]["dockerBuildArgs"]["MODELS"] == "hair-type hair-type-large"
    assert "LOUPE_MODELS" not in functions(tested)["loupe-prod"]["Environment"]["Variables"]


def test_a_challenger_that_is_also_served_is_in_the_image_once() -> None:
    served = {"models": [{"name": "hair-type"}, {"name": "hair-type-large"}]}
    both = synthesize("dev", {**SHADOW, **served})
    (image,) = json.loads(next(both.folder.glob("*.assets.json")).read_text())["dockerImages"].values()
    assert image["source"]["dockerBuildArgs"]["MODELS"] == "hair-type hair-type-large"


def test_the_function_reads_the_variables_that_the_stack_writes(tested: Synthesized) -> None:
    written = functions(tested)["loupe-prod"]["Environment"]["Variables"]
    own = {name: value for name, value in written.items() if name.startswith("LOUPE_SHADOW_")}
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:loupe-prod-shadow:live"
    (alias,) = (name for name in tested.resources("AWS::Lambda::Alias") if name.startswith("Shadow"))
    (bucket,) = (name for name in tested.resources("AWS::S3::Bucket") if name.startswith("Shadow"))
    assert own["LOUPE_SHADOW_FUNCTION_ARN"] == {"Ref": alias}
    assert own["LOUPE_SHADOW_BUCKET"] == {"Ref": bucket}
    read = FunctionSettings.from_environment(
        {**own, "LOUPE_SHADOW_FUNCTION_ARN": arn, "LOUPE_SHADOW_BUCKET": "loupe-samples"}
    )
    assert (read.challenger, read.share) == ("hair-type-large", 0.1)


@pytest.mark.parametrize("share", [0.0001, 0.00015, 0.05, 1.0])
def test_every_share_that_synth_accepts_is_accepted_by_the_function(share: float) -> None:
    variables = {
        "LOUPE_SHADOW_FUNCTION_ARN": "arn:aws:lambda:eu-central-1:123456789012:function:f:live",
        "LOUPE_SHADOW_CHALLENGER": "b",
        "LOUPE_SHADOW_SHARE": f"{load({'challenger': 'b', 'share': share}).shadow.share:.4f}",
    }
    assert FunctionSettings.from_environment(variables).share == pytest.approx(share, abs=0.00006)


def test_lambda_neither_repeats_samples_nor_keeps_old_ones(tested: Synthesized) -> None:
    (config,) = tested.resources("AWS::Lambda::EventInvokeConfig").values()
    (alias,) = (name for name in tested.resources("AWS::Lambda::Alias") if name.startswith("Shadow"))
    assert config["Properties"]["MaximumRetryAttempts"] == 0
    assert config["Properties"]["MaximumEventAgeInSeconds"] == 300
    qualifier = json.dumps(config["Properties"]["Qualifier"])
    assert alias in qualifier, "the alias, not the function: its ARN ends with the name"
    assert "DestinationConfig" not in config["Properties"]


def test_each_function_may_do_what_the_test_needs_and_no_more(tested: Synthesized, prod: Synthesized) -> None:
    assert allowed(tested, "ClassifierRole") - allowed(prod, "ClassifierRole") == {
        ("lambda:InvokeFunction", "<ShadowFunctionAliaslive>"),
        ("s3:PutObject", "<ShadowSamplesBucket>/shadow/*"),
    }
    # Uploads need it, too.
    assert ("kms:Decrypt, kms:GenerateDataKey", "<DataKey>") in allowed(tested, "ClassifierRole")
    assert allowed(tested, "ShadowRole") == {
        ("logs:CreateLogStream, logs:PutLogEvents", "<ShadowLogs>"),
        ("xray:PutTelemetryRecords, xray:PutTraceSegments", "*"),
        ("s3:GetObject", "<ShadowSamplesBucket>/shadow/*"),
        ("kms:Decrypt", "<DataKey>"),
    }
    assert {statement.reason for statement in permissions(tested.template)} - {""} != {None}
    assert all(statement.reason is not None for statement in permissions(tested.template))


def test_samples_are_private_encrypted_and_expire_after_a_day(tested: Synthesized) -> None:
    (bucket,) = (
        item["Properties"] for name, item in tested.resources("AWS::S3::Bucket").items() if name.startswith("Shadow")
    )
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["Status"]) == (1, "Enabled")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_a_challenger_with_the_same_pixels_needs_no_bucket(same_pixels: dict[str, Any]) -> None:
    kinds = [resource["Type"] for resource in same_pixels["Resources"].values()]
    assert kinds.count("AWS::S3::Bucket") == 0
    variables = [
        resource["Properties"].get("Environment", {}).get("Variables", {})
        for resource in same_pixels["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    assert any("LOUPE_SHADOW_FUNCTION_ARN" in statement for statement in variables)
    assert not any("LOUPE_SHADOW_BUCKET" in statement for statement in variables)


def test_pixels_that_are_too_large_for_an_event_are_sent_as_images() -> None:
    def card(side: int, labels: int = 2, pixels: str = "a") -> ModelCard:
        names = tuple(f"label-{number}" for number in range(labels))
        return ModelCard("a", "1", names, pixels=pixels, pixel_bytes=side * side * 3)

    assert SYNTH_BYTES < MAX_EVENT_BYTES
    assert takes_same_pixels(card(224), card(224))
    assert not takes_same_pixels(card(224), card(224, pixels="b"))
    assert not takes_same_pixels(card(512), card(512))
    assert takes_same_pixels(card(224, 1000), card(224, 1000))
    assert not takes_same_pixels(card(384, 20_000), card(384, 20_000))


def test_metrics_have_the_names_that_the_functions_emit() -> None:
    for name in ("SENT", "DROPPED", "FAILURES", "AGREEMENT", "DISAGREEMENTS", "DIFFERENCE", "LATENCY"):
        assert getattr(metrics, f"SHADOW_{name}") == getattr(telemetry, f"SHADOW_{name}")


def test_alarms_watch_disagreement_and_failures_of_this_pair(tested: Synthesized, prod: Synthesized) -> None:
    alarms = {
        item["Properties"]["AlarmName"]: item["Properties"]
        for item in tested.resources("AWS::CloudWatch::Alarm").values()
    }
    before = {item["Properties"]["AlarmName"] for item in prod.resources("AWS::CloudWatch::Alarm").values()}
    assert set(alarms) - before == {"loupe-prod-ShadowDisagreementRate", "loupe-prod-ShadowFailures"}
    rate = alarms["loupe-prod-ShadowDisagreementRate"]
    assert rate["Threshold"] == 0.1
    dimensions = [
        {"Name": "Challenger", "Value": "hair-type-large"},
        {"Name": "Champion", "Value": "hair-type"},
        {"Name": "Environment", "Value": "prod"},
    ]
    watched = [item["MetricStat"] for item in rate["Metrics"] if "MetricStat" in item]
    assert [item["Metric"]["Dimensions"] for item in watched] == [dimensions, dimensions]
    assert {item["Period"] for item in watched} == {300}
    assert "Shadow test: agreement" in json.dumps(tested.only("AWS::CloudWatch::Dashboard")["DashboardBody"])


def test_without_a_challenger_nothing_is_added(prod: Synthesized) -> None:
    assert "hadow" not in json.dumps(prod.template)
    none = {"shadow": {"challenger": None}}
    assert load_settings(context(), "prod", none) == load_settings(context(), "prod")


def load(shadow: dict[str, Any], **others: Any) -> Settings:
    return load_settings({"environments": {"dev": {"shadow": shadow, **others}}}, "dev")


@pytest.mark.parametrize(
    ("shadow", "message"),
    [
        ({"share": 0.1}, r"shadow: share needs challenger, the model that is tested"),
        ({"challenger": "hair-type"}, r"shadow.challenger is 'hair-type', the default model itself"),
        ({"challenger": "../other"}, r"shadow.challenger: must be the name of a folder"),
        ({"challenger": "b", "share": 0}, r"shadow.share"),
        ({"challenger": "b", "share": 1.5}, r"shadow.share"),
        ({"challenger": "b", "reserved_concurrency": 0}, r"shadow.reserved_concurrency"),
        ({"challenger": "b", "disagreement_rate": 0}, r"shadow.disagreement_rate"),
        ({"challenger": "b", "model": "c"}, r"shadow.model: there is no such key"),
    ],
)
def test_settings_that_cannot_be_tested_are_rejected(shadow: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(shadow)


def test_nist_asks_for_a_concurrency_limit_of_the_challenger() -> None:
    prod = {"challenger": "hair-type-large"}
    with pytest.raises(SettingsError, match=r"asks you to set shadow.reserved_concurrency"):
        load_settings(context(), "prod", {"shadow": prod})
    assert load_settings(context(), "prod", {"shadow": {**prod, "reserved_concurrency": 1}})


def test_a_challenger_that_is_not_there_is_rejected_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"shadow.challenger: there is no models/none/card.json.*hair-type-large"):
        synthesize("dev", {"shadow": {"challenger": "none"}})


def test_a_challenger_that_does_not_fit_its_memory_is_rejected() -> None:
    shadow = load({"challenger": "large", "memory_mib": 512}).shadow
    champion, challenger = (ModelCard(name, "1", ("a", "b"), 80 * 2**20) for name in ("champion", "large"))
    with pytest.raises(SettingsError, match=r"shadow.memory_mib is 512, and large needs about 624 MiB"):
        check_challenger(champion, challenger, shadow)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"labels": ["curly", "wavy"]}, r"have different labels \(straight, wavy\)"),
        (
            {"kind": "multilabel-logits", "temperature": 1},
            r"other gives an image several labels, and hair-type gives it one",
        ),
    ],
)
def test_a_challenger_with_other_labels_is_rejected(output: dict[str, Any], message: str) -> None:
    champion = ModelCard("hair-type", "1", ("curly", "straight"))
    other = ModelCard(
        "other", "1", tuple(output.get("labels", champion.labels)), multilabel="multilabel" in output.get("kind", "")
    )
    with pytest.raises(SettingsError, match=message):
        check_challenger(champion, other, load({"challenger": "other"}).shadow)


def test_the_variables_of_the_test_have_room() -> None:
    arn = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:loupe-" + "e" * 20 + "-shadow:live"
    values = {
        "LOUPE_SHADOW_FUNCTION_ARN": arn,
        "LOUPE_SHADOW_CHALLENGER": "c" * 63,
        "LOUPE_SHADOW_SHARE": "0.0001",
        "LOUPE_SHADOW_BUCKET": "b" * 63,
    }
    assert sum(len(name) + len(value) for name, value in values.items()) <= SHADOW_VARIABLES_BYTES


def test_variables_above_lambdas_limit_are_rejected() -> None:
    hosts = [f"images-{number:02}.example.com" for number in range(150)]
    patch = {**SHADOW, "inputs": {"url": {"policy": "allow-list", "hosts": hosts}}, "bulk": {"enabled": False}}
    with pytest.raises(SettingsError, match=r"With shadow.challenger the function's variables may have \d+ bytes"):
        synthesize("dev", patch)


def test_failures_of_unreadable_events_have_the_champion_that_the_alarm_watches(tested: Synthesized) -> None:
    assert SHADOW_UNREAD == UNKNOWN
    (alarm,) = (
        alarm["Properties"]
        for alarm in tested.resources("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["AlarmName"].endswith("-ShadowFailures")
    )
    champions = [
        dimension["Value"]
        for metric in alarm["Metrics"]
        for dimension in metric.get("MetricStat", {}).get("Metric", {}).get("Dimensions", ())
        if dimension["Name"] == "Champion"
    ]
    assert sorted(champions) == sorted(["hair-type", UNKNOWN])


def test_the_variables_of_an_experiment_count_beside_those_of_a_shadow_test() -> None:
    hosts = [f"images-{number:03}.example.com" for number in range(120)]
    inputs = {"inputs": {"url": {"policy": "allow-list", "hosts": hosts}}, "bulk": {"enabled": False}}
    models = [{"name": "hair-type"}, {"name": "hair-type-large"}]
    arms = [{"name": f"{'a' * 31}{number}", "model": "hair-type", "weight": 10_000} for number in range(10)]
    experiment = {"models": models, "experiment": {"name": "size", "arms": arms, "key": "image-content"}}
    synthesize("dev", {**inputs, **experiment})
    synthesize("dev", {**SHADOW, **inputs})
    with pytest.raises(SettingsError, match=r"With shadow.challenger the function's variables may have"):
        synthesize("dev", {**SHADOW, **inputs, **experiment})
