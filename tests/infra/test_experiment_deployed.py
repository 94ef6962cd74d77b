"""An experiment in the template: variables, parameter, permission, dashboard, alarm; and what synth rejects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from loupe.experiment import parse_weights

from infra import boundary
from infra.cards import ModelCard, check_arms
from infra.components import metrics
from infra.settings import ArmSettings, ExperimentSettings, SettingsError, load_settings
from tests.infra.synthesis import Synthesized, context, synthesize
from tests.infra.variants import EXPERIMENT
from tools.boundary.evaluate import allows

MODELS = EXPERIMENT["models"]
EXPERIMENT_ONLY: dict[str, Any] = EXPERIMENT["experiment"]
FIXED = {**EXPERIMENT_ONLY, "live_weights": False}


@pytest.fixture(scope="module")
def live() -> Synthesized:
    return synthesize("prod", dict(EXPERIMENT))


@pytest.fixture(scope="module")
def fixed() -> Synthesized:
    return synthesize("prod", {"models": MODELS, "experiment": FIXED})


@pytest.fixture(scope="module")
def without() -> Synthesized:
    return synthesize("prod", {"models": MODELS})


def _variables(template: Synthesized, name: str = "loupe-prod") -> dict[str, Any]:
    (function,) = (
        item["Properties"]
        for item in template.resources("AWS::Lambda::Function").values()
        if item["Properties"]["FunctionName"] == name
    )
    variables: dict[str, Any] = function["Environment"]["Variables"]
    return variables


def _statements(template: Synthesized) -> list[dict[str, Any]]:
    return [
        statement
        for policy in template.resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def test_no_experiment_is_the_default(without: Synthesized) -> None:
    models = {"models": MODELS}
    assert load_settings(context(), "prod", {**models, "experiment": None}) == load_settings(context(), "prod", models)
    assert not without.resources("AWS::SSM::Parameter")


def test_only_the_classifier_gets_the_experiments_variables(live: Synthesized, without: Synthesized) -> None:
    added = {name: value for name, value in _variables(live).items() if name not in _variables(without)}
    assert added == {
        "LOUPE_EXPERIMENT": "size",
        "LOUPE_EXPERIMENT_ARMS": "small=hair-type:90,large=hair-type-large:10",
        "LOUPE_EXPERIMENT_KEY": "api-key",
        "LOUPE_EXPERIMENT_PARAMETER": "/loupe-prod/experiment-weights",
        "LOUPE_EXPERIMENT_REFRESH_SECONDS": "60",
    }
    for name in ("loupe-prod-bulk", "loupe-prod-jobs"):
        assert _variables(live, name) == _variables(without, name)


def test_fixed_weights_need_no_parameter_permission_or_alarm(fixed: Synthesized, without: Synthesized) -> None:
    for kind in ("AWS::SSM::Parameter", "AWS::IAM::Policy", "AWS::IAM::Role"):
        assert fixed.resources(kind) == without.resources(kind)
    # Alarms of a release name the version, which is another one.
    assert fixed.resources("AWS::CloudWatch::Alarm").keys() == without.resources("AWS::CloudWatch::Alarm").keys()
    assert "LOUPE_EXPERIMENT_PARAMETER" not in _variables(fixed)


def test_the_parameter_has_the_weights_of_the_settings_as_the_function_reads_them(live: Synthesized) -> None:
    parameter = live.only("AWS::SSM::Parameter")
    assert (parameter["Name"], parameter["Type"], parameter["Tier"]) == (
        "/loupe-prod/experiment-weights", "String", "Standard",
    )  # fmt: skip
    assert parse_weights(parameter["Value"], ["small", "large"]) == {"small": 90, "large": 10}
    output = live.template["Outputs"]["ExperimentWeights"]
    assert output["Value"]["Ref"] in live.template["Resources"]
    assert output["Description"].endswith("set-weights prod small=90 large=10")


def test_only_the_classifier_may_read_the_parameter_and_nothing_else(live: Synthesized, without: Synthesized) -> None:
    added = [statement for statement in _statements(live) if statement not in _statements(without)]
    assert [statement["Action"] for statement in added] == ["ssm:GetParameter"]
    resource = "".join(
        part if isinstance(part, str) else f"<{part['Ref']}>" for part in added[0]["Resource"]["Fn::Join"][1]
    )
    assert resource == (
        "arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:parameter/loupe-prod/experiment-weights"
    )


def test_the_permissions_boundary_lets_the_function_read_its_parameter(live: Synthesized) -> None:
    """It caps the function's own role, too: without this, every read would be denied."""
    document = boundary.document(account="111122223333")
    own, other = (
        f"arn:aws:ssm:eu-central-1:111122223333:parameter{name}"
        for name in (live.only("AWS::SSM::Parameter")["Name"], "/payroll/weights")
    )
    assert allows(document, "ssm:GetParameter", own)
    assert not allows(document, "ssm:GetParameter", other)


def test_the_dashboard_compares_the_arms(live: Synthesized) -> None:
    dashboard = json.dumps(live.only("AWS::CloudWatch::Dashboard")["DashboardBody"])
    for name in (metrics.REQUESTS, metrics.SERVER_FAULTS, metrics.TOTAL_LATENCY, metrics.CONFIDENCE):
        for arm in ("small", "large"):
            series = json.dumps(["Loupe", name, "Arm", arm, "Environment", "prod", "Experiment", "size"])
            assert json.dumps(series.replace(" ", ""))[1:-2] in dashboard


def test_the_alarm_watches_the_metric_that_the_function_emits(live: Synthesized) -> None:
    (alarm,) = (
        item["Properties"]
        for item in live.resources("AWS::CloudWatch::Alarm").values()
        if item["Properties"]["AlarmName"] == "loupe-prod-ExperimentWeights"
    )
    from loupe import telemetry

    assert alarm["MetricName"] == telemetry.WEIGHT_FAILURES == metrics.WEIGHT_FAILURES
    assert alarm["Dimensions"] == [{"Name": "Environment", "Value": "prod"}]
    assert (alarm["Threshold"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (1, 3, 5)


def _load(experiment: dict[str, Any], **more: Any) -> Any:
    values = {"models": MODELS, "experiment": experiment, **more}
    return load_settings({"environments": {"x": values}}, "x").experiment


JWT = {"mode": "jwt", "jwt": {"issuer": "https://id.example.com/", "audience": ["a"]}}
SMALL, LARGE = EXPERIMENT_ONLY["arms"]
REJECTED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"arms": [SMALL]}, {}, "arms: must have at least 2 (it has 1)"),
    ({"arms": [{**SMALL, "weight": 0}, {**LARGE, "weight": 0}]}, {}, "a weight above 0, one at least"),
    ({"arms": [SMALL, {**LARGE, "weight": -1}]}, {}, "arms.1.weight: should be greater than or equal to 0"),
    ({"arms": [SMALL, {**LARGE, "weight": 0.5}]}, {}, "arms.1.weight: should be a valid integer"),
    ({"arms": [SMALL, {**LARGE, "name": "small"}]}, {}, "arms must have a name each, once"),
    ({"arms": [SMALL, {**LARGE, "name": "Large"}]}, {}, "arms.1.name: must be a small letter"),
    ({"arms": [{**SMALL, "name": f"a{i}"} for i in range(11)]}, {}, "arms: Tuple should have at most 10 items"),
    (
        {"arms": [SMALL, {**LARGE, "model": "hair-type-course"}]},
        {},
        "experiment.arms: large has the model 'hair-type-course', which is not deployed: add it to models",
    ),
    ({"arms": [SMALL, {**SMALL, "name": "b"}]}, {"models": []}, "experiment needs several models: name them in models"),
    ({"name": "a b"}, {}, "experiment.name: must be a small letter"),
    ({"key": "cookie"}, {}, "experiment.key: should be 'header', 'api-key'"),
    ({"key": "header"}, {}, "header names the header of key 'header': give both, or neither"),
    ({"header": "X-User-Id"}, {}, "header names the header of key 'header': give both, or neither"),
    ({"key": "api-key"}, {"auth": {"mode": "iam"}}, "experiment.key 'api-key' needs auth.mode 'api-key' (it is 'iam')"),
    ({"key": "api-key"}, {"auth": JWT}, "experiment.key 'api-key' needs auth.mode 'api-key' (it is 'jwt')"),
    ({"key": "token-subject"}, {}, "experiment.key 'token-subject' needs auth.mode 'cognito' or 'jwt'"),
    ({"live_weights": False, "refresh_seconds": 60}, {}, "refresh_seconds belongs to live_weights"),
    (
        {"refresh_seconds": 30},
        {"function": {"reserved_concurrency": 1201}},
        "experiment.refresh_seconds (30) is too short for 1201 execution environments",
    ),
    *(
        ({"key": "header", "header": header}, {}, f"header '{header}' is reserved")
        for header in ("Authorization", "cookie", "X-Api-Key", "X-Forwarded-For", "Content-Type", "X-Amz-Date",
                       "X-Experiment-Arm", "HOST", "User-Agent", "Idempotency-Key", "Sec-Fetch-Site")
    ),
    *(
        ({"key": "header", "header": header}, {}, "header: must be the name of a header")
        for header in ("X User", "9", "X-Ü", "", "a" * 65)
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "more", "sentence"), REJECTED)
def test_impossible_experiments_are_rejected_with_a_clear_message(changes, more, sentence: str) -> None:
    with pytest.raises(SettingsError) as error:
        _load({**EXPERIMENT_ONLY, **changes}, **more)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"key": "header", "header": "X-User-Id"}, {"auth": {"mode": "iam"}}),
        ({"key": "token-subject"}, {"auth": JWT}),
        ({"key": "token-subject"}, {"auth": {"mode": "cognito"}}),
        ({"key": "source-address"}, {"auth": JWT}),
        ({"key": "image-content", "override": True}, {}),
        ({"arms": [SMALL, LARGE, {**SMALL, "name": "small-again"}]}, {}),
        ({"refresh_seconds": 30}, {"function": {"reserved_concurrency": 1200}}),
    ],
)
def test_possible_experiments_are_accepted(changes, more) -> None:
    assert isinstance(_load({**EXPERIMENT_ONLY, **changes}, **more), ExperimentSettings)


def _cards(**labels: tuple[str, ...]) -> dict[str, ModelCard]:
    return {name: ModelCard(name, "1", values) for name, values in labels.items()}


def test_arms_have_the_same_labels_in_any_order() -> None:
    arms = [ArmSettings(name=name, model=name, weight=1) for name in ("a", "b")]
    check_arms(_cards(a=("x", "y"), b=("y", "x")), arms)
    with pytest.raises(
        SettingsError, match=r"arms a and b, a and b have different labels \(y, z\)\. Clients could not"
    ):
        check_arms(_cards(a=("x", "y"), b=("x", "z")), arms)
    several = {**_cards(a=("x", "y")), "b": ModelCard("b", "1", ("x", "y"), multilabel=True)}
    with pytest.raises(SettingsError, match="b gives an image several labels, and a gives it one"):
        check_arms(several, arms)


def test_variables_of_the_largest_experiment_fit_or_are_rejected() -> None:
    arms = [{"name": f"{'a' * 31}{number}", "model": "hair-type", "weight": 10_000} for number in range(10)]
    experiment = {**EXPERIMENT_ONLY, "name": "a" * 32, "arms": arms}
    hosts = [f"images-{number:03}.example.com" for number in range(150)]
    inputs = {"url": {"policy": "allow-list", "hosts": hosts}}
    patch = {"models": MODELS, "experiment": experiment, "bulk": {"enabled": False}}
    assert synthesize("dev", patch)
    with pytest.raises(SettingsError, match="Lambda takes 4096 in all"):
        synthesize("dev", {**patch, "inputs": inputs})
