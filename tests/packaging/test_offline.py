"""`cdk synth` of each environment: no findings, no network connection, and only the packages of the deploy group."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from deploy_packages import ROOT, blocked_modules, import_guard

ENVIRONMENTS = ("local", "dev", "staging", "prod")
# Loaded by every Python process of the synth. An attempt is logged before it is blocked, so that code which catches the
# error is detected, too.
PYTHON_GUARD = """
import os, socket

def _block_connection(self, address, *args):
    if self.family != socket.AF_UNIX:
        with open(os.environ["ATTEMPTS"], "a") as log:
            print("python", address, file=log)
        raise ConnectionRefusedError("no network in this test")

socket.socket.connect = socket.socket.connect_ex = _block_connection

def _no_lookup(host, *args, **kwargs):
    with open(os.environ["ATTEMPTS"], "a") as log:
        print("python lookup", host, file=log)
    raise socket.gaierror("no network in this test")

socket.getaddrinfo = _no_lookup
"""
NODE_GUARD = """
const fs = require('fs'), net = require('net'), dns = require('dns');
const block = (what) => (...args) => {
  fs.appendFileSync(process.env.ATTEMPTS, `node ${what} ${JSON.stringify(args[0])}\\n`);
  throw new Error('no network in this test');
};
net.Socket.prototype.connect = block('connect');
dns.lookup = block('lookup');
"""


def _guards(folder: Path) -> dict[str, str]:
    (folder / "sitecustomize.py").write_text(PYTHON_GUARD + import_guard())
    (folder / "guard.cjs").write_text(NODE_GUARD)
    return {
        "PYTHONPATH": str(folder),
        "NODE_OPTIONS": f"--require {folder / 'guard.cjs'}",
        "ATTEMPTS": str(folder / "attempts"),
    }


def test_cdk_synth_is_clean_and_opens_no_connection(tmp_path: Path) -> None:
    """As `make synth` runs it, without credentials; the guards surround the app, not the CDK's own command."""
    guards = [f"{name}={value}" for name, value in _guards(tmp_path).items()]
    app = shlex.join(["env", *guards, sys.executable, "-m", "infra.app"])
    variables = _without_aws() | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # The command line itself requests notices, which must not be needed.
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    command = [str(ROOT / "node_modules/.bin/cdk"), "synth", "--quiet", "--app", app]
    command += ["--context", "env=prod", "--output", str(tmp_path / "out")]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "ERROR" not in run.stderr
    assert "WARNING" not in run.stderr
    assert (tmp_path / "out" / "Loupe-prod.template.json").exists()
    attempts = tmp_path / "attempts"
    assert not attempts.exists(), attempts.read_text()


# Every environment in one process: the start of Node and the imports are most of the time of a synth.
SYNTHESIZE = """
import sys
from pathlib import Path
from tests.infra.synthesis import synthesize_into
from tests.infra.variants import ENVIRONMENTS
for name in ENVIRONMENTS:
    synthesize_into(Path(sys.argv[1]) / name, name, rule_packs=True)
"""


def test_every_environment_synthesizes_without_findings_or_connections(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SYNTHESIZE, str(tmp_path)]
    variables = _without_aws() | _guards(tmp_path)
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stderr[-3000:]
    for environment in ENVIRONMENTS:
        assert (tmp_path / environment / f"Loupe-{environment}.template.json").exists()
        texts = [path.read_text() for path in (tmp_path / environment).glob("*.json") if "metadata" in path.name]
        assert texts
        assert not [text for text in texts if "aws:cdk:error" in text or "aws:cdk:warning" in text]
        report = json.loads((tmp_path / environment / "validation-report.json").read_text())
        assert {item["pluginName"] for item in report["pluginReports"]} >= {"AwsSolutions"}
        assert [item["violations"] for item in report["pluginReports"] if item["violations"]] == []
    attempts = tmp_path / "attempts"
    assert not attempts.exists(), attempts.read_text()


def _without_aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9')"],
        [str(Path(sys.executable).with_name("node")), "-e", "require('http').get('http://127.0.0.1:9')"],
    ],
    ids=["python", "node"],
)
def test_the_guards_would_see_an_attempt(command: list[str], tmp_path: Path) -> None:
    variables = {**os.environ, **_guards(tmp_path)}
    run = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert "127.0.0.1" in (tmp_path / "attempts").read_text()


def test_the_operator_tools_need_only_the_deploy_packages(tmp_path: Path) -> None:
    """Modules that `make doctor`, `deploy`, `smoke`, `diff-comment`, `acceptance` and `bench-aws` import."""
    # They write parts of the repository: the API document from the function, the dashboard's image from a local cloud.
    others = {"contract", "dashboard"}
    entries = sorted(path for path in (ROOT / "tools").glob("*/__main__.py") if path.parent.name not in others)
    names = [f"tools.{path.parent.name}.__main__" for path in entries] + ["tools.diff_comment"]
    assert "tools.doctor.__main__" in names
    (tmp_path / "sitecustomize.py").write_text(import_guard())
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", "import " + ", ".join(names)]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-3000:]


@pytest.mark.parametrize("module", ["onnxruntime", "playwright", "pytest"])
def test_the_import_guard_rejects_other_packages(module: str, tmp_path: Path) -> None:
    assert module in blocked_modules()
    (tmp_path / "sitecustomize.py").write_text(import_guard())
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", f"import {module}"]
    run = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert "not in requirements/deploy.txt" in run.stderr
