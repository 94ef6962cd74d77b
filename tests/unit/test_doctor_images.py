"""`make doctor` and images: the one in ECR, the repository of assets, and the engine that builds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from doctor_fakes import (
    ACCOUNT,
    DIGEST,
    DOCKER,
    REGION,
    engine,
    environment,
    findings,
    one,
)

from tools.doctor.findings import Level

ECR = {"image": {"source": "ecr", "repository": "team/loupe", "digest": DIGEST}}

MANIFEST = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"digest": "sha256:cc"}}

INDEX = {"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}

LAYER = {"downloadUrl": "https://layers.example.com/x"}


def _image(manifest: dict[str, Any]) -> dict[str, Any]:
    return {"images": [{"imageManifest": json.dumps(manifest)}]}


@pytest.mark.parametrize(
    ("answer", "config", "level", "sentence"),
    [
        (_image(MANIFEST), b'{"architecture": "amd64"}', Level.ok, "is in ECR, for amd64"),
        (_image(MANIFEST), b'{"architecture": "arm64"}', Level.error, "is for arm64, and function.architecture is x86"),
        (_image(MANIFEST), b"no json", Level.warning, "its architecture could not be read"),
        (_image(MANIFEST), OSError("timed out"), Level.warning, "could not be read (timed out)"),
        (_image({}), b"", Level.warning, "its architecture could not be read"),
        (_image(INDEX), b"", Level.error, "is an index of several images, which Lambda does not run"),
        ({"failures": [{"failureReason": "Requested image not found"}]}, b"", Level.error, "is not in ECR: Requested"),
        (("RepositoryNotFoundException", "", 400), b"", Level.error, "There is no repository team/loupe"),
        (("AccessDeniedException", "", 400), b"", Level.warning, "may not call ecr:BatchGetImage"),
    ],
)
def test_an_image_in_ecr_must_be_there_by_its_digest_and_for_the_architecture(
    answer: Any, config: Any, level: Level, sentence: str
) -> None:
    report = findings(
        environment(**ECR), config=config, ecr__batch_get_image=answer, ecr__get_download_url_for_layer=LAYER
    )
    finding = one(report, "image")
    assert (finding.level, sentence in finding.summary) == (level, True), finding
    # Nothing is built.
    assert "No image is built" in one(report, "docker").summary


def test_a_missing_asset_repository_is_an_error() -> None:
    finding = one(findings(ecr__describe_repositories=("RepositoryNotFoundException", "", 400)), "image")
    assert finding.level is Level.error
    assert f"cdk-hnb659fds-container-assets-{ACCOUNT}-{REGION}" in finding.summary


@pytest.mark.parametrize(
    ("runner", "level", "sentence"),
    [
        (engine(None), Level.error, "There is no program 'docker'"),
        (
            engine("", code=1, errors="Cannot connect. Is the daemon running?"),
            Level.error,
            "not answer: Cannot connect. Is the daemon running?",
        ),
        (engine({"Client": {}, "Server": None}), Level.error, "does not answer"),
        (engine("no json"), Level.error, "does not answer: no json"),
        (engine({"Client": {"OsArch": "linux/amd64"}}), Level.ok, "builds for linux/amd64"),  # Podman
        (engine(), Level.ok, "is running and builds for linux/amd64"),
    ],
)
def test_the_container_engine_must_respond(runner: Any, level: Level, sentence: str) -> None:
    finding = one(findings(runner=runner), "docker")
    assert (finding.level, sentence in finding.summary) == (level, True), finding


@pytest.mark.parametrize(
    ("builder", "level"),
    [
        ("Name: default\nPlatforms: linux/amd64, linux/386\n", Level.error),
        ("Name: default\nPlatforms: linux/amd64*, linux/arm64\n", Level.warning),
        ("", Level.warning),
    ],
)
def test_another_architecture_needs_an_emulator(builder: str, level: Level) -> None:
    settings = environment(function={"architecture": "arm64"})
    assert one(findings(settings, runner=engine(DOCKER, builder)), "docker").level is level
