"""The wheel, installed into an empty environment, synthesizes somebody else's CDK app."""

from __future__ import annotations

import email
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from deploy_packages import ROOT, import_guard

EXAMPLE = ROOT / "examples" / "own-cdk-app"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without the network, by the project's own hatchling."""
    dist = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(dist), str(ROOT))
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def template(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The template of the example, synthesized outside the repository by an environment that has only the wheel.

    The packages of the extra ``deploy`` come from the project's environment: a guard hides every other package, and the
    project's own editable install is not processed there.
    """
    folder = tmp_path_factory.mktemp("salon")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    # A path in a .pth file is searched after this environment, and its own .pth files are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "sitecustomize.py").write_text(import_guard())
    app = folder / "app"
    shutil.copytree(EXAMPLE, app)
    shutil.copytree(ROOT / "models" / "hair-type", app / "models" / "hair-type")
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "JSII_NODE": str(Path(sys.executable).with_name("node")),
        "CDK_OUTDIR": str(app / "cdk.out"),
        "CDK_VALIDATION": "false",
    }
    where = "import infra, loupe, modelkit; print(infra.__file__, loupe.__file__, modelkit.__file__)"
    imported = run([str(python), "-c", where], app, environment)
    assert str(ROOT) not in imported, imported
    run([str(python), "app.py"], app, environment)
    document: dict[str, Any] = json.loads((app / "cdk.out" / "Salon.template.json").read_text(encoding="utf-8"))
    document["images"] = json.loads((app / "cdk.out" / "Salon.assets.json").read_text(encoding="utf-8"))["dockerImages"]
    document["folder"] = app / "cdk.out"
    return document


def pip(*arguments: str) -> None:
    run([sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments], ROOT, dict(os.environ))


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kinds(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == kind]


def test_the_wheel_contains_what_the_constructs_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        *(f"{package}/py.typed" for package in ("infra", "localcloud", "loupe", "modelkit", "tools")),
        "infra/_package/function/Dockerfile",
        "infra/_package/function/handler.py",
        "infra/_package/function/loupe/service.py",
        "infra/_package/function/requirements.txt",
        "infra/_package/authorizer/Dockerfile",
        "infra/_package/authorizer/shared_issuers.json",
        "infra/_package/docs/openapi.json",
        "infra/_package/.dockerignore",
        "loupe/card.py",
        "modelkit/_package/card.schema.json",
    } <= names
    left_out = ("tests/", "models/", "benchmarks/", "docs/", "examples/")
    assert not [name for name in names if name.startswith(left_out) or name.endswith(".pyc")]


def test_the_wheel_names_its_version_and_extras(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(name))
    assert wheel.name == f"loupe-{metadata['Version']}-py3-none-any.whl"
    assert set(metadata.get_all("Provides-Extra", [])) >= {"deploy", "modelkit", "local"}
    requirements = metadata.get_all("Requires-Dist", [])
    assert all("extra ==" in requirement for requirement in requirements)
    assert any(requirement.startswith("aws-cdk-lib") and "'deploy'" in requirement for requirement in requirements)


def test_the_app_has_its_own_alarm_and_route(template: dict[str, Any]) -> None:
    alarms = {alarm["AlarmName"]: alarm for alarm in kinds(template, "AWS::CloudWatch::Alarm")}
    assert {"loupe-hair-ManyRequests", "loupe-hair-ApiErrorRate"} <= set(alarms)
    assert alarms["loupe-hair-ManyRequests"]["AlarmActions"] == alarms["loupe-hair-ApiLatencyP99"]["AlarmActions"]
    paths = {resource["PathPart"] for resource in kinds(template, "AWS::ApiGateway::Resource")}
    assert {"about", "classify"} <= paths
    assert set(template["Outputs"]) >= {"Url", "FunctionName", "ApiKeyId"}


def test_the_image_is_built_from_the_wheel_with_the_model_of_the_app(template: dict[str, Any]) -> None:
    (image,) = (entry["source"] for entry in template["images"].values())
    assert image["dockerBuildArgs"]["MODEL"] == "hair-type"
    context = template["folder"] / image["directory"]
    assert (context / image["dockerFile"]).read_bytes() == (ROOT / "function" / "Dockerfile").read_bytes()
    assert (context / "models" / "hair-type" / "card.json").is_file()
    assert (context / "function" / "loupe" / "service.py").is_file()
    assert (context / "models" / "hair-type" / "golden").is_dir()
    assert not (context / "models" / "hair-type" / "README.md").exists()
