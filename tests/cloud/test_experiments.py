"""Experiments with both shipped models, deployed to a local cloud of their own: each key, override, weights by SSM."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import jwt
import pytest
from botocore.exceptions import ClientError
from deployment import ORIGIN, Deployed, Response, deployed_stack, own_cloud, until
from expect import assert_problem
from loupe.experiment import choose
from typer.testing import CliRunner

from localcloud.settings import effective
from tools.experiment import LiveExperiment
from tools.smoke.__main__ import app as smoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric import rsa

    from localcloud.models import Golden

    Deploy = Callable[..., Deployed]

MODELS = {"small": "hair-type", "large": "hair-type-large"}
AUDIENCE = "https://pictures.example"
LOG_GROUP = "/aws/lambda/loupe-local"


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """Deploy an experiment with these settings to the same cloud, as a change of settings."""

    def deploy(key: str, weights: tuple[int, int] = (70, 30), auth: Any = None, **experiment: Any) -> Deployed:
        arms = [
            {"name": name, "model": model, "weight": weight}
            for (name, model), weight in zip(MODELS.items(), weights, strict=True)
        ]
        settings = {
            "models": [{"name": name} for name in MODELS.values()],
            "experiment": {"name": "size", "arms": arms, "key": key, **experiment},
            "auth": auth or {"clients": {name: {"rate": 1000, "burst": 2000} for name in ("default", "second")}},
            "api": {"cors_origins": [ORIGIN], "rate_limit": 5000, "burst_limit": 5000},
            "alarms": {"period_seconds": 10, "evaluation_periods": 1},
            "bulk": {"enabled": False, "on_upload": {"enabled": False, "notify": False}},
        }
        return deployed_stack(state, settings)

    with own_cloud(tmp_path_factory.mktemp("experiments")) as state:
        yield deploy


@pytest.fixture(scope="module")
def by_header(deploy: Deploy) -> Deployed:
    return deploy("header", header="X-User-Id", override=True, live_weights=True, refresh_seconds=30)


def arm_of(response: Response) -> str:
    """The arm that a response names; its model is that of the arm."""
    assert response.status == 200, response.body
    experiment, _, arm = response.headers["x-experiment"].partition("=")
    assert experiment == "size"
    assert response.json["model"]["name"] == MODELS[arm]
    return arm


def user_arm(deployed: Deployed, user: object, image: bytes, **headers: str) -> str:
    return arm_of(deployed.call("/v1/classify", image, "image/jpeg", headers={"X-User-Id": f"user-{user}", **headers}))


def batch_of(*images: bytes) -> bytes:
    return json.dumps({"items": [{"image": base64.b64encode(image).decode()} for image in images]}).encode()


def share(deployed: Deployed, image: bytes, users: int = 200) -> float:
    arms = Counter(user_arm(deployed, user, image) for user in range(users))
    return arms["large"] / users


def test_callers_are_split_by_the_weights_and_keep_their_arm(by_header: Deployed, golden_cases: list[Golden]) -> None:
    first, second = (case.path.read_bytes() for case in golden_cases[:2])
    arms = [user_arm(by_header, user, first) for user in range(300)]
    # 300 callers: five standard deviations are 0.13.
    assert abs(arms.count("large") / 300 - 0.3) < 0.13
    assert [user_arm(by_header, user, second) for user in range(60)] == arms[:60]
    for user in range(6):
        headers = {"X-User-Id": f"user-{user}", "Content-Type": "application/json"}
        assert arm_of(by_header.call("/v1/classify/batch", batch_of(first, second), headers=headers)) == arms[user]


def test_a_request_without_the_header_is_assigned_by_its_image(by_header: Deployed, golden_cases: list[Golden]) -> None:
    for case in golden_cases[:4]:
        image = case.path.read_bytes()
        encoded = json.dumps({"image": base64.b64encode(image).decode()}).encode()
        assert arm_of(by_header.post("/v1/classify", encoded)) == arm_of(by_header.classify(image))


def test_a_request_names_its_arm(by_header: Deployed, golden_cases: list[Golden]) -> None:
    image = golden_cases[0].path.read_bytes()
    for user in range(4):
        for arm in MODELS:
            assert user_arm(by_header, user, image, **{"X-Experiment-Arm": arm}) == arm
    unknown = by_header.call("/v1/classify", image, "image/jpeg", headers={"X-Experiment-Arm": "none"})
    assert_problem(unknown, 400, "request_invalid")
    assert "small, large" in unknown.json["detail"]


def test_named_models_and_direct_invocations_are_not_assigned(by_header: Deployed, golden_cases: list[Golden]) -> None:
    image = golden_cases[0].path.read_bytes()
    for name in MODELS.values():
        response = by_header.post(f"/v1/models/{name}/classify", image, "image/jpeg")
        assert (response.json["model"]["name"], "x-experiment" in response.headers) == (name, False)
    for case in golden_cases[:4]:
        payload = {"image": base64.b64encode(case.path.read_bytes()).decode()}
        assert by_header.invoke(payload)["model"]["name"] == "hair-type"


def test_browsers_may_send_and_read_the_headers(by_header: Deployed) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = by_header.call("/v1/classify", key=False, method="OPTIONS", headers=headers)
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert "x-user-id" in allowed
    assert "x-experiment-arm" in allowed
    assert (
        "X-Experiment"
        in by_header.call("/v1/models", headers={"Origin": ORIGIN}).headers["access-control-expose-headers"]
    )


def test_logs_and_metrics_name_the_arm_and_not_the_caller(by_header: Deployed, golden_cases: list[Golden]) -> None:
    image = golden_cases[0].path.read_bytes()
    headers = {"X-User-Id": "secret-caller-4711"}
    response = by_header.call("/v1/classify", image, "image/jpeg", headers=headers)
    arm, request_id = arm_of(response), response.json["request_id"]

    def lines() -> list[dict[str, Any]]:
        events = by_header.client("logs").filter_log_events(logGroupName=LOG_GROUP, filterPattern=f'"{request_id}"')
        return [json.loads(event["message"]) for event in events["events"] if event["message"].startswith("{")]

    until(lambda: any("arm" in line for line in lines()), 15)
    (line,) = (line for line in lines() if "arm" in line)
    assert (line["experiment"], line["arm"], line["arm_by"], line["model"]) == ("size", arm, "header", MODELS[arm])
    everything = by_header.client("logs").filter_log_events(logGroupName=LOG_GROUP)["events"]
    assert not [event for event in everything if "secret-caller" in event["message"]]
    dimensions = [{"Name": name, "Value": value} for name, value in
                  (("Environment", "local"), ("Experiment", "size"), ("Arm", arm))]  # fmt: skip

    def published() -> list[Any]:
        metrics = by_header.client("cloudwatch").list_metrics(
            Namespace="Loupe", MetricName="TotalLatency", Dimensions=dimensions
        )
        return list(metrics["Metrics"])

    until(published, 15)


def test_the_function_may_read_its_parameter_and_no_other(by_header: Deployed) -> None:
    role = by_header.client("lambda").get_function_configuration(FunctionName="loupe-local")["Role"]
    issued = by_header.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session: Any = boto3.Session(
        issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"], by_header.account.region
    )
    own = session.client("ssm", endpoint_url=by_header.account.endpoint)
    name = by_header.outputs["ExperimentWeights"]
    assert json.loads(own.get_parameter(Name=name)["Parameter"]["Value"]) == {"small": 70, "large": 30}
    by_header.client("ssm").put_parameter(Name="/loupe-local/other", Value="x", Type="String", Overwrite=True)
    calls = (
        lambda: own.get_parameter(Name="/loupe-local/other"),
        lambda: own.put_parameter(Name=name, Value="x", Type="String", Overwrite=True),
        lambda: own.get_parameter_history(Name=name),
    )
    for call in calls:
        with pytest.raises(ClientError) as denied:
            call()
        assert denied.value.response["Error"]["Code"].startswith("AccessDenied")


def test_the_smoke_test_passes_with_an_experiment(by_header: Deployed, tmp_path: Any) -> None:
    report = tmp_path / "smoke.json"
    arguments = ["--url", by_header.endpoint["url"], "--json", str(report), "--cors-origin", ORIGIN]
    result = CliRunner().invoke(smoke, arguments, env={"LOUPE_API_KEY": by_header.endpoint["api_key"]})
    assert result.exit_code == 0, result.output
    checks = {check["name"]: check["status"] for check in json.loads(report.read_text())["checks"]}
    assert checks["experiment"] == checks["other models"] == "passed"


def test_weights_change_without_a_deployment(by_header: Deployed, golden_cases: list[Golden]) -> None:
    """By the command's own code, and within the refresh interval of a running execution environment."""
    image = golden_cases[0].path.read_bytes()
    before = [user_arm(by_header, user, image) for user in range(60)]
    version = by_header.client("lambda").get_alias(FunctionName="loupe-local", Name="live")["FunctionVersion"]
    live = LiveExperiment(effective(by_header.settings), by_header.client("ssm"))
    change = live.write(["large=70"])
    assert (change.before, change.after) == ({"small": 70, "large": 30}, {"small": 70, "large": 70})
    after = [choose("size", change.after, f"user-{user}".encode()) for user in range(60)]
    # 30 s, and a jitter of a fifth.
    until(lambda: [user_arm(by_header, user, image) for user in range(60)] == after, 60)
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert moved
    assert set(moved) == {("small", "large")}
    assert by_header.client("lambda").get_alias(FunctionName="loupe-local", Name="live")["FunctionVersion"] == version


def test_an_invalid_parameter_keeps_the_weights_and_is_counted(by_header: Deployed, golden_cases: list[Golden]) -> None:
    """In new execution environments, whose second request reads it."""
    image = golden_cases[0].path.read_bytes()
    store, name = by_header.client("ssm"), by_header.outputs["ExperimentWeights"]
    store.put_parameter(Name=name, Value='{"small": 1}', Type="String", Overwrite=True)
    with by_header.released(LOUPE_LOG_LEVEL="INFO"):

        def reasons() -> list[str]:
            user_arm(by_header, 1, image)
            events = by_header.client("logs").filter_log_events(
                logGroupName=LOG_GROUP, filterPattern='"weights_failure"'
            )["events"]
            return [json.loads(event["message"])["weights_failure"] for event in events]

        until(lambda: "invalid" in reasons(), 30)
        assert abs(share(by_header, image) - 0.3) < 0.15
    metrics = by_header.client("cloudwatch").list_metrics(Namespace="Loupe", MetricName="WeightFailures")["Metrics"]
    assert [metric["Dimensions"] for metric in metrics] == [[{"Name": "Environment", "Value": "local"}]]
    store.put_parameter(Name=name, Value='{"small": 70, "large": 30}', Type="String", Overwrite=True)


def test_each_api_key_keeps_its_arm(deploy: Deploy, golden_cases: list[Golden]) -> None:
    deployed = deploy("api-key", (50, 50))
    gateway = deployed.client("apigateway")
    keys = [
        gateway.get_api_key(apiKey=deployed.outputs[output], includeValue=True)["value"]
        for output in ("ApiKeyId", "ApiKeyIdSecond")
    ]

    def arm(key: str, case: Golden) -> str:
        headers = {"x-api-key": key, "X-User-Id": case.path.name, "X-Experiment-Arm": "none"}
        image = case.path.read_bytes()
        return arm_of(deployed.call("/v1/classify", image, "image/jpeg", key=False, headers=headers))

    for key in keys:
        assert len({arm(key, case) for case in golden_cases}) == 1
    # Without live weights there is no parameter.
    assert "ExperimentWeights" not in deployed.outputs


def test_a_source_address_keeps_its_arm_for_any_request(deploy: Deploy, golden_cases: list[Golden]) -> None:
    """All requests here come from one address, the one that API Gateway sees; no header changes it."""
    deployed = deploy("source-address", (50, 50))
    arms = {
        arm_of(
            deployed.call(
                "/v1/classify", case.path.read_bytes(), "image/jpeg",
                headers={"X-Forwarded-For": f"192.0.2.{number}", "X-User-Id": str(number)},
            )
        )
        for number, case in enumerate(golden_cases)
    }  # fmt: skip
    assert len(arms) == 1


def test_an_image_keeps_its_arm_and_images_differ(deploy: Deploy, golden_cases: list[Golden]) -> None:
    deployed = deploy("image-content", (50, 50))
    arms = []
    # Bytes behind the end of a JPEG make another image of it.
    for image in (golden_cases[number % 2].path.read_bytes() + bytes([number]) for number in range(24)):
        arms.append(arm_of(deployed.classify(image)))
        encoded = json.dumps({"image": base64.b64encode(image).decode()}).encode()
        assert arm_of(deployed.post("/v1/classify", encoded)) == arms[-1]
    assert set(arms) == set(MODELS)


def test_a_token_subject_keeps_its_arm(
    deploy: Deploy, issuer: tuple[str, rsa.RSAPrivateKey], golden_cases: list[Golden]
) -> None:
    url, key = issuer
    deployed = deploy("token-subject", (50, 50), {"mode": "jwt", "jwt": {"issuer": url, "audience": [AUDIENCE]}})

    def arm(subject: str, case: Golden) -> str:
        claims = {"iss": url, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 300}
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})
        headers, image = {"Authorization": f"Bearer {token}"}, case.path.read_bytes()
        return arm_of(deployed.call("/v1/classify", image, "image/jpeg", key=False, headers=headers))

    arms = {f"user-{number}": arm(f"user-{number}", golden_cases[0]) for number in range(16)}
    assert set(arms.values()) == set(MODELS)
    assert {subject: arm(subject, golden_cases[1]) for subject in arms} == arms
