"""The checks of a release: golden cases, environments, bounds, reports to CodeDeploy, synthetic traffic."""

from __future__ import annotations

import base64
import io
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import tinymodel
from loupe.classifier import Classifier
from loupe.release.after import check_alias, event
from loupe.release.before import check_version
from loupe.release.cases import MAX_IMAGE_BYTES, CaseError, gray_png, payload, read_cases
from loupe.release.hook import REPORT_SECONDS, Hook
from loupe.release.invoke import InvocationError, Target
from loupe.release.log import ReleaseLog
from loupe.release.settings import ReleaseSettings
from loupe.release.synthetic import send, shifting_to
from loupe.variables import SettingsError
from PIL import Image
from release_fakes import GOLDEN, FakeCodeDeploy, FakeContext, FakeLambda, client_error

VARIABLES = {
    "LOUPE_ENVIRONMENT": "prod",
    "LOUPE_MODEL": "m",
    "LOUPE_RELEASE_FUNCTION": "loupe-prod",
    "LOUPE_RELEASE_VERSION": "7",
    "LOUPE_RELEASE_ENVIRONMENTS": "3",
}
EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "brown").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model with two golden cases."""
    folder = tmp_path / "models" / "m"
    tinymodel.write_model(folder, b"weights")
    card = json.loads((folder / "card.json").read_text())
    (folder / "golden").mkdir()
    cases = []
    for name in ("a.jpg", "b.jpg"):
        (folder / "golden" / name).write_bytes(jpeg())
        cases.append({"image": f"golden/{name}", "label": "curly", "probability": 0.9, "tolerance": 0.02})
    card["output"]["labels"] = ["curly", "straight"]
    (folder / "card.json").write_text(json.dumps({**card, "golden": cases}))
    return folder.parent


def settings_of(models: Path, **changed: str) -> ReleaseSettings:
    return ReleaseSettings.from_environment({**VARIABLES, "LOUPE_MODELS_DIR": str(models), **changed}, models)


def checked(models: Path, client: FakeLambda, seconds: float = 20.0, **changed: str) -> list[str]:
    return check_version(settings_of(models, **changed), client, seconds, lambda *_, **__: None)


@pytest.fixture(scope="module")
def repository_models() -> Path:
    return Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="module")
def hair_type(repository_models: Path) -> Classifier:
    return Classifier.load(repository_models / "hair-type")


class TestBeforeTraffic:
    def test_a_correct_version_passes_after_several_environments_responded(self, models: Path) -> None:
        client = FakeLambda(together=3)
        assert checked(models, client) == []
        assert client.most_at_once >= 3
        assert {call["Qualifier"] for call in client.calls} == {"7"}
        assert {call["LogType"] for call in client.calls} == {"Tail"}
        sent = json.loads(client.calls[-1]["Payload"])
        assert base64.b64decode(sent["image"]) == (models / "m" / "golden" / "b.jpg").read_bytes()

    def test_too_few_environments_are_a_finding(self, models: Path) -> None:
        # The third request gives up after 0.6 s: its next attempt would be later than 0.7 of the second.
        (finding,) = checked(models, FakeLambda(environments=2, throttled=3), 1)
        assert finding.startswith("2 of 3 execution environments (release.environments) answered in ")
        assert "others were throttled" in finding

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (
                {"label": "straight", "scores": {"curly": 0.1, "straight": 0.9}},
                "the label is straight, not curly (probability 0.1000, expected 0.9 +- 0.02).",
            ),
            (
                {"label": "curly", "scores": {"curly": 0.87, "straight": 0.13}},
                "the probability of curly is 0.8700, not 0.9 +- 0.02.",
            ),
            (
                {"error": {"code": "image_undecodable", "status": 400}},
                "the version answers image_undecodable (400): the golden file or the decoder is damaged.",
            ),
            (
                {"error": {"code": "internal_error", "status": 500}},
                "the version answers internal_error (500).",
            ),
            ({"label": "x", "scores": {"x": 1}}, "the answer has no score of curly."),
            ({"label": "curly"}, "the answer has no label or no scores."),
            ([], "the answer is not a result object."),
            (
                RuntimeError("exit status 1"),
                "the function failed: Runtime.ExitError: exit status 1.",
            ),
        ],
    )
    def test_a_wrong_prediction_names_the_golden_case(self, models: Path, answer: Any, sentence: str) -> None:
        assert f"golden case m golden/a.jpg: {sentence}" in checked(models, FakeLambda(lambda _: answer))

    def test_a_wrong_prediction_names_only_its_golden_case(self, models: Path) -> None:
        (models / "m" / "golden" / "b.jpg").write_bytes(gray_png())
        wrong = {"label": "straight", "scores": {"curly": 0.2, "straight": 0.8}}
        gray = base64.b64encode(gray_png()).decode()
        findings = checked(models, FakeLambda(lambda sent: wrong if sent["image"] == gray else dict(GOLDEN)))
        assert [finding.partition(":")[0] for finding in findings] == ["golden case m golden/b.jpg"]

    def test_a_crash_after_the_environments_responded_is_a_finding(self, models: Path) -> None:
        answers = iter([dict(GOLDEN)] * 3)
        client = FakeLambda(lambda _: next(answers, RuntimeError("exit status 1")), together=3)
        assert checked(models, client) == [
            f"golden case m golden/{name}.jpg: the function failed: Runtime.ExitError: exit status 1." for name in "ab"
        ]

    def test_latency_and_memory_are_those_of_the_report_line(self, models: Path) -> None:
        slow = checked(models, FakeLambda(duration_ms=3_001))
        assert slow[0] == (
            "golden case m golden/a.jpg: 3001 ms in a warm environment is above release.max_latency_ms (3000)."
        )
        assert checked(models, FakeLambda(duration_ms=2_999)) == []
        full = checked(models, FakeLambda(memory=(950, 1000)))
        assert full[0] == (
            "golden case m golden/a.jpg: 950 of 1000 MiB are used, more than release.max_memory_share (0.9) allows."
        )

    def test_without_a_report_line_nothing_was_measured(self, models: Path) -> None:
        assert "no REPORT line" in checked(models, FakeLambda(report=False))[0]

    def test_the_response_of_another_version_is_a_finding(self, models: Path) -> None:
        assert "version 6 answered, not 7" in checked(models, FakeLambda(version="6"))[0]

    def test_a_pending_version_is_waited_for(self, models: Path) -> None:
        client = FakeLambda()
        client.errors = [client_error("ResourceConflictException", 409), client_error("TooManyRequestsException", 429)]
        assert checked(models, client) == []

    def test_a_version_that_stays_pending_is_a_finding(self, models: Path) -> None:
        client = FakeLambda()
        client.errors = [client_error("ResourceConflictException", 409) for _ in range(100)]
        assert "still Pending" in checked(models, client, 0.5)[0]

    def test_permissions_may_come_into_force_late(self, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        client = FakeLambda()
        client.errors = [client_error("AccessDeniedException", 403)]
        assert checked(models, client) == []
        monkeypatch.setattr("loupe.release.invoke.PROPAGATION_SECONDS", 0.0)
        client.errors = [client_error("AccessDeniedException", 403)]
        assert checked(models, client) == [
            "golden case m golden/a.jpg: Lambda rejects the invocation: AccessDeniedException."
        ]

    def test_a_model_without_golden_cases_only_has_to_respond(self, models: Path) -> None:
        card = models / "m" / "card.json"
        card.write_text(json.dumps({**json.loads(card.read_text()), "golden": []}))
        notes: list[tuple[str, dict[str, Any]]] = []
        settings = settings_of(models)
        findings = check_version(settings, FakeLambda(), 20, lambda message, **fields: notes.append((message, fields)))
        assert findings == []
        assert ("no golden case", {"model": "m"}) in notes
        failing = FakeLambda(lambda _: {"error": {"code": "internal_error", "status": 500}})
        assert "m (no golden case: a gray image)" in checked(models, failing)[0]

    def test_every_model_is_checked_under_its_name(self, models: Path) -> None:
        shutil.copytree(models / "m", models / "n")
        card = models / "n" / "card.json"
        card.write_text(json.dumps({**json.loads(card.read_text()), "name": "n"}))
        client = FakeLambda()
        assert checked(models, client, LOUPE_MODELS="m,n") == []
        assert {json.loads(call["Payload"])["model"] for call in client.calls} == {"m", "n"}


class TestCases:
    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (None, "golden case m golden/a.jpg: the image in the container image cannot be read"),
            (b"", "golden case m golden/a.jpg: the image in the container image is empty."),
            (bytes(MAX_IMAGE_BYTES + 1), "are more than an invocation carries"),
        ],
    )
    def test_a_damaged_golden_file_is_named(self, models: Path, content: bytes | None, sentence: str) -> None:
        path = models / "m" / "golden" / "a.jpg"
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(CaseError, match=r"golden/a\.jpg") as error:
            read_cases(models, ("m",))
        assert sentence in str(error.value)
        assert checked(models, FakeLambda()) == [str(error.value)]

    def test_the_largest_golden_image_fits_an_invocation(self, models: Path) -> None:
        (models / "m" / "golden" / "a.jpg").write_bytes(bytes(MAX_IMAGE_BYTES))
        case = read_cases(models, ("m",)).cases[0]
        assert len(payload(case, several=True)) <= 6 * 1024 * 1024

    def test_a_missing_card_is_named(self, models: Path) -> None:
        with pytest.raises(CaseError, match="n: the card cannot be read"):
            read_cases(models, ("n",))

    def test_the_gray_image_is_a_png(self) -> None:
        image = Image.open(io.BytesIO(gray_png()))
        image.load()
        assert (image.size, image.mode, image.getpixel((5, 5))) == ((64, 64), "RGB", (128, 128, 128))


class TestHook:
    def test_an_outcome_is_reported_with_its_ids(self) -> None:
        for findings, status in (([], "Succeeded"), (["golden case x: wrong."], "Failed")):
            codedeploy = FakeCodeDeploy()
            hook = Hook("BeforeAllowTraffic", codedeploy, lambda _, result=findings: result, ReleaseLog("prod", "7"))
            assert hook.run(EVENT, FakeContext(60)) == {"status": status, "findings": findings}
            assert codedeploy.reports == [
                {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "e-1", "status": status}
            ]

    def test_a_crash_is_reported_as_failed(self, capsys: pytest.CaptureFixture[str]) -> None:
        def crash(_: float) -> list[str]:
            raise RuntimeError("disk")

        codedeploy = FakeCodeDeploy()
        answer = Hook("BeforeAllowTraffic", codedeploy, crash, ReleaseLog("prod", "7")).run(EVENT, FakeContext(60))
        assert codedeploy.reports[0]["status"] == "Failed"
        assert "the check itself failed (RuntimeError)" in answer["findings"][0]
        assert '"message":"crash"' in capsys.readouterr().out

    def test_a_check_that_does_not_end_is_reported_in_time(self) -> None:
        release, codedeploy = threading.Event(), FakeCodeDeploy()
        hook = Hook("AfterAllowTraffic", codedeploy, lambda _: [str(release.wait(30))], ReleaseLog("prod", "7"))
        started = time.monotonic()
        answer = hook.run(EVENT, FakeContext(REPORT_SECONDS + 0.3))
        release.set()
        assert time.monotonic() - started < 5
        assert codedeploy.reports[0]["status"] == "Failed"
        assert "did not end within" in answer["findings"][0]

    def test_a_person_may_invoke_it_without_a_deployment(self) -> None:
        codedeploy = FakeCodeDeploy()
        hook = Hook("BeforeAllowTraffic", codedeploy, lambda _: [], ReleaseLog("prod", "7"))
        assert hook.run({}, FakeContext(60))["status"] == "Succeeded"
        assert codedeploy.reports == []

    def test_a_report_that_fails_is_an_error_of_the_function(self) -> None:
        codedeploy = FakeCodeDeploy(client_error("LifecycleEventAlreadyCompletedException"))
        hook = Hook("BeforeAllowTraffic", codedeploy, lambda _: [], ReleaseLog("prod", "7"))
        with pytest.raises(Exception, match="LifecycleEventAlreadyCompletedException"):
            hook.run(EVENT, FakeContext(60))


class TestAfterTraffic:
    @staticmethod
    def client(hair_type: Any, **changed: Any) -> FakeLambda:
        from events import Context
        from fakes import make_app

        app = make_app(hair_type)
        return FakeLambda(lambda sent: app.http(sent, Context()), **changed)

    def check(self, client: FakeLambda, models: Path, **changed: str) -> list[str]:
        return check_alias(
            settings_of(models, LOUPE_MODEL="hair-type", **changed),
            client,
            20,
            lambda *_, **__: None,
        )

    def test_the_function_passes_its_own_smoke_core(self, hair_type: Any, repository_models: Path) -> None:
        client = self.client(hair_type)
        assert self.check(client, repository_models) == []
        assert {call["Qualifier"] for call in client.calls} == {"live"}

    def test_an_alias_at_another_version_is_a_finding(self, hair_type: Any, repository_models: Path) -> None:
        findings = self.check(self.client(hair_type, version="6"), repository_models)
        assert findings == ["health: alias live is at version 6, not 7."]

    @pytest.mark.parametrize("answer", [{}, {"statusCode": 200, "body": "{}"}, {"statusCode": 500, "body": "x"}])
    def test_a_response_of_another_form_is_a_finding(self, answer: Any, repository_models: Path) -> None:
        findings = self.check(FakeLambda(lambda _: answer), repository_models)
        assert len(findings) >= 10

    def test_a_crash_is_a_finding(self, repository_models: Path) -> None:
        findings = self.check(FakeLambda(lambda _: RuntimeError("x")), repository_models)
        assert findings[0] == "health: the function failed: Runtime.ExitError: x."

    def test_an_event_is_one_of_api_gateway(self) -> None:
        from loupe.http.envelope import is_http, unwrap

        request = json.loads(event("POST", "/v1/classify", b"\xff", "image/jpeg"))
        assert is_http(request)
        assert (unwrap(request).method, unwrap(request).path) == ("POST", "/v1/classify")


class TestSyntheticTraffic:
    def test_the_version_is_the_one_with_a_weight(self) -> None:
        client = FakeLambda()
        assert shifting_to(client, "loupe-prod", "live") is None
        client.weights = {"7": 0.1}
        assert shifting_to(client, "loupe-prod", "live") == "7"

    def test_every_case_is_sent_once_to_the_version(self, models: Path) -> None:
        client = FakeLambda()
        traffic = send(settings_of(models), client, 20, "8")
        assert traffic == ("8", 2, ())
        assert [call["Qualifier"] for call in client.calls] == ["8", "8"]

    def test_wrong_predictions_and_crashes_are_failures(self, models: Path) -> None:
        for answer in ({"label": "straight", "scores": {"curly": 0.1}}, RuntimeError("x")):
            traffic = send(settings_of(models), FakeLambda(lambda _, a=answer: a), 20, "7")
            assert len(traffic.findings) == 2

    def test_a_throttled_case_is_no_failure_of_the_version(self, models: Path) -> None:
        """Full concurrency is a matter of the load: it must not roll back a version that is right."""
        client = FakeLambda()
        client.errors = [client_error("TooManyRequestsException", 429) for _ in range(100)]
        traffic = send(settings_of(models), client, 0.3, "7")
        assert (traffic.requests, traffic.findings) == (0, ())

    def test_metrics_are_by_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        ReleaseLog("prod", "8").synthetic(7, 2)
        blob = json.loads(capsys.readouterr().out)
        (directive,) = blob["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["Environment", "FunctionVersion"]]
        assert (blob["Environment"], blob["FunctionVersion"]) == ("prod", "8")
        assert (blob["SyntheticRequests"], blob["SyntheticFailures"]) == ([7], [2])


class TestSettings:
    @pytest.mark.parametrize(
        "changed",
        [
            {"LOUPE_RELEASE_VERSION": "$LATEST"},
            {"LOUPE_RELEASE_VERSION": ""},
            {"LOUPE_RELEASE_FUNCTION": "arn:x"},
            {"LOUPE_RELEASE_ENVIRONMENTS": "0"},
            {"LOUPE_RELEASE_MAX_MEMORY_SHARE": "1.5"},
            {"LOUPE_MODELS": "../m"},
        ],
    )
    def test_a_bad_variable_is_named(self, changed: dict[str, str], tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=next(iter(changed))):
            settings_of(tmp_path, **changed)


def test_a_lost_connection_is_repeated_until_the_deadline() -> None:
    from botocore.exceptions import ConnectionClosedError

    client = FakeLambda()
    client.errors = [ConnectionClosedError(endpoint_url="x") for _ in range(50)]
    with pytest.raises(InvocationError, match="Lambda did not answer"):
        Target(client, "f", "1", time.monotonic() + 0.3).invoke(b"{}")
