"""`modelkit compare-variants` finds the better of a good and a damaged model by the traffic of an experiment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from damaged import MODELS, damaged_copy
from deployment import Deployed, deployed_stack, own_cloud, until
from PIL import Image, ImageEnhance, ImageOps

from localcloud.models import golden
from localcloud.state import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

DAMAGED = "test-damaged-large"
LOG_GROUP = "/aws/lambda/loupe-local"
SETTINGS = {
    "models": [{"name": "hair-type"}, {"name": "hair-type-large"}, {"name": DAMAGED}],
    "experiment": {
        "name": "larger",
        "arms": [
            {"name": "good", "model": "hair-type-large", "weight": 60},
            {"name": "damaged", "model": DAMAGED, "weight": 40},
        ],
        "key": "image-content",
    },
}


def photos() -> Iterator[tuple[str, bytes, str]]:
    """Golden images with their name and label, in 18 variants each: mirrored, darker, lighter, cropped."""
    for case in golden("hair-type"):
        image = Image.open(case.path).convert("RGB")
        for turned in (image, ImageOps.mirror(image)):
            for light in (0.85, 1.0, 1.15):
                for percent in (0, 3, 6):
                    width, height = turned.size
                    box = (width * percent // 100, height * percent // 100)
                    cropped = turned.crop((*box, width - box[0], height - box[1]))
                    buffer = BytesIO()
                    ImageEnhance.Brightness(cropped).enhance(light).save(buffer, "JPEG", quality=90)
                    yield case.path.name, buffer.getvalue(), case.label


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A cloud of this module's own, and a clean models/ after it."""
    shutil.rmtree(MODELS / DAMAGED, ignore_errors=True)
    with own_cloud(tmp_path_factory.mktemp("cloud"), DAMAGED) as state:
        damaged_copy("hair-type-large", DAMAGED)
        yield deployed_stack(state, SETTINGS)


@pytest.fixture(scope="module")
def traffic(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log and the labels of requests that the experiment split between its arms."""
    folder = tmp_path_factory.mktemp("traffic")
    rows, ids = ["request_id,label,image"], set()
    for name, photo, label in photos():
        answer = deployed.classify(photo)
        assert answer.status == 200, answer.body
        assert answer.headers["x-experiment"].startswith("larger=")
        ids.add(answer.json["request_id"])
        rows.append(f"{answer.json['request_id']},{label},{name}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    pages: list[dict[str, Any]] = []

    def logged() -> bool:
        pages[:] = deployed.client("logs").get_paginator("filter_log_events").paginate(logGroupName=LOG_GROUP)
        return ids <= {
            json.loads(event["message"]).get("request_id")
            for page in pages
            for event in page["events"]
            if event["message"].startswith("{")
        }

    until(logged, 30)
    events = [event for page in pages for event in page["events"]]
    # As `aws logs filter-log-events` prints it.
    (folder / "log.json").write_text(json.dumps({"events": events, "searchedLogStreams": []}, indent=4))
    return folder


def compare(deployed: Deployed, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "modelkit", "compare-variants", *map(str, arguments)],
        cwd=PROJECT, env=deployed.account.environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_damaged_arm_is_worse(deployed: Deployed, traffic: Path) -> None:
    options = ("--labels", traffic / "labels.csv", "--baseline", "good", "--max-latency-ratio", 5)
    weights = ("--weights", "good=60", "--weights", "damaged=40")
    done = compare(deployed, traffic / "log.json", *options, *weights, "--format", "json")
    assert done.returncode == 1, done.stderr
    value = json.loads(done.stdout)
    assert value["experiment"] == "larger"
    assert sum(arm["requests"] for arm in value["arms"]) == 126
    assert not value["lines"]["damaged"]
    (comparison,) = value["comparisons"]
    assert (comparison["challenger"], comparison["verdict"]) == ("damaged", "worse")
    assert comparison["interval"][1] < -0.1
    assert comparison["agreement"]["images"] == 7
    assert value["sample_ratio"]["mismatch"] is False
    models = {arm["name"]: next(iter(arm["models"])).partition(" ")[0] for arm in value["arms"]}
    assert models == {"good": "hair-type-large", "damaged": DAMAGED}


def test_the_good_arm_is_better(deployed: Deployed, traffic: Path) -> None:
    options = ("--labels", traffic / "labels.csv", "--baseline", "damaged", "--max-latency-ratio", 5)
    done = compare(deployed, traffic / "log.json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good against damaged: BETTER." in done.stdout


def test_metrics_have_the_traffic_of_both_arms(deployed: Deployed, traffic: Path) -> None:
    done = compare(deployed, traffic / "log.json", "--metrics", "--max-latency-ratio", 5, "--format", "json")
    lines = compare(deployed, traffic / "log.json", "--max-latency-ratio", 5, "--format", "json")
    by_metrics, by_lines = json.loads(done.stdout), json.loads(lines.stdout)
    assert [(arm["name"], arm["requests"]) for arm in by_metrics["arms"]] == [
        (arm["name"], arm["requests"]) for arm in by_lines["arms"]
    ]


def test_the_log_group_says_what_its_export_says(deployed: Deployed, traffic: Path) -> None:
    """The emulator ignores JSON filter patterns: it returns all lines, of which AWS returns those of requests."""
    options = ("--labels", traffic / "labels.csv", "--max-latency-ratio", 5, "--format", "json")
    of_group = compare(deployed, "--log-group", LOG_GROUP, "--start", "1h", *options)
    of_file = compare(deployed, traffic / "log.json", *options)
    assert json.loads(of_group.stdout)["comparisons"] == json.loads(of_file.stdout)["comparisons"]


def test_a_missing_log_group_is_an_error_with_a_clear_message(deployed: Deployed) -> None:
    done = compare(deployed, "--log-group", "/aws/lambda/none")
    assert done.returncode == 3
    assert "There is no log group /aws/lambda/none" in done.stderr
