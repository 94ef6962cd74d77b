"""`make rollback` and the version: which one is the previous, and what cannot serve is rejected."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from operations_fakes import ARN, DENIED, FUNCTION, Bench, Cloud, Scripted

from tools.operations.alias import Alias
from tools.operations.target import OperationError
from tools.rollback import choice

VERSIONS = {number: (f"sha-{number}",) for number in (5, 7, 8)}

ALIAS = Alias(FUNCTION, "live", "8", {})


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path / "pins")


@pytest.mark.parametrize(
    ("version", "weights", "newest", "deploying", "expected"),
    [
        ("8", {}, "8", False, "7"),
        ("7", {}, "8", False, "5"),
        # CodeDeploy shifts to 8; provisioned concurrency of 8 failed and 7 still has the traffic.
        ("7", {"8": 0.1}, "8", True, "7"),
        ("8", {"7": 1.0}, "8", False, "7"),
        # Before the shift: 7 serves and stays; after it: back to 7.
        ("7", {}, "8", True, "7"),
        ("8", {}, "8", True, "7"),
    ],
)
def test_the_previous_version_follows_from_the_state_of_the_shift(
    version: str, weights: dict[str, float], newest: str, deploying: bool, expected: str
) -> None:
    alias = Alias(FUNCTION, "live", version, weights)
    assert choice.previous(alias, VERSIONS, newest, deploying=deploying) == expected


def test_the_first_version_has_no_previous_one() -> None:
    with pytest.raises(OperationError, match="There is no version to return to: loupe-prod has none before version 5"):
        choice.previous(Alias(FUNCTION, "live", "5", {}), VERSIONS, "8", deploying=False)


def test_a_version_of_the_same_image_and_configuration_has_the_same_fault() -> None:
    versions = {5: ("a", "512"), 6: ("b", "512"), 7: ("b", "512"), 8: ("b", "1024")}
    assert choice.previous(Alias(FUNCTION, "live", "7", {}), versions, "8", deploying=False) == "5"
    assert choice.previous(Alias(FUNCTION, "live", "8", {}), versions, "8", deploying=False) == "7"


@pytest.mark.parametrize(
    ("options", "answers", "sentence"),
    [
        (("--version", "6"), {}, "loupe-prod has no version 6. It has 5, 7, 8."),
        (
            (),
            {"ecr__describe_images": ("ImageNotFoundException", "", 400)},
            "The image of version 7 is gone from ECR",
        ),
        ((), {"ecr__describe_images": ("RepositoryNotFoundException", "", 400)}, "The image of version 7 is gone"),
        # MiniStack's answer.
        ((), {"ecr__describe_images": {"imageDetails": []}}, "The image of version 7 is gone"),
        (
            (),
            {
                "lambda__get_function": {
                    "Configuration": {"State": "Failed", "StateReason": "Image access denied"}, "Code": {},
                }
            },
            "Version 7 cannot run (Image access denied).",
        ),
        (
            (),
            {
                "lambda__invoke": lambda **_: {
                    "StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "boom"}'),
                }
            },
            "Version 7 does not answer GET /v1/health",
        ),
        (
            (),
            {
                "lambda__list_provisioned_concurrency_configs": {
                    "ProvisionedConcurrencyConfigs": [
                        {"FunctionArn": f"{ARN}:live", "Status": "READY"},
                        {"FunctionArn": f"{ARN}:7", "Status": "READY"},
                    ]
                }
            },
            "Version 7 has provisioned concurrency of its own",
        ),
        ((), {"lambda__get_alias": DENIED}, "not permitted: lambda:GetAlias"),
        ((), {"lambda__update_alias": DENIED}, "not permitted: lambda:UpdateAlias"),
        ((), {"cloudformation__describe_stacks": exceptions.NoCredentialsError()}, "no usable AWS credentials"),
    ],
)  # fmt: skip
def test_what_cannot_serve_or_be_done_is_rejected_and_nothing_is_pinned(
    options: tuple[str, ...], answers: dict[str, Scripted], sentence: str, bench: Bench
) -> None:
    cloud = Cloud(**answers)
    code, text = bench.run(cloud, *options)
    assert (code, cloud.version, bench.pin) == (2, "8", None)
    assert sentence in text


def test_a_version_that_does_not_respond_can_be_forced(bench: Bench) -> None:
    failing = {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": b"{}"}
    cloud = Cloud(lambda__invoke=failing)
    assert bench.run(cloud, "--force")[0] == 0
    assert cloud.version == "7"


@pytest.mark.parametrize(
    "answers",
    [
        {"lambda__invoke": DENIED},
        {"lambda__invoke": ("TooManyRequestsException", "Rate Exceeded.", 429)},
        {"lambda__invoke": exceptions.EndpointConnectionError(endpoint_url="https://example.com")},
        {"ecr__describe_images": DENIED},
        {"lambda__get_function": {"Configuration": {"State": "Inactive"}, "Code": {}}},
    ],
)
def test_what_could_not_be_checked_is_noted_and_does_not_stop_a_rollback(answers: Any, bench: Bench) -> None:
    cloud = Cloud(**answers)
    code, text = bench.run(cloud)
    assert (code, cloud.version) == (0, "7")
    assert "note: " in text


def test_a_version_that_hangs_is_rejected(bench: Bench) -> None:
    cloud = Cloud(lambda__invoke=exceptions.ReadTimeoutError(endpoint_url="https://example.com"))
    code, text = bench.run(cloud)
    assert (code, cloud.version) == (2, "8")
    assert "does not answer GET /v1/health (nothing within 75 s)" in text
