"""Set-up: which interpreter it takes, what of the shell it heeds, and what it says when a registry is not reached."""

from __future__ import annotations

import importlib.util
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from sites import HOST, site

from localcloud.state import PROJECT

BIN = Path(sys.executable).parent
NOWHERE = "http://127.0.0.1:9/simple"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", PROJECT / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load()


def interpreter(path: Path, name: str) -> Path:
    """A program that passes for a usable interpreter and answers with its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n# {name}\nexit 0\n")
    path.chmod(0o755)
    return path


def find(folder: Path, path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(folder), **variables}
    script = PROJECT / "scripts" / "find-python.sh"
    return subprocess.run(["sh", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_a_second_make_keeps_the_interpreter_of_the_environment(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    interpreter(programs / "python3.13", "3.13")
    assert find(tmp_path, programs).stdout.strip() == str(programs / "python3.13")
    interpreter(tmp_path / ".venv" / "bin" / "python", "3.11")
    assert find(tmp_path, programs).stdout.strip() == ".venv/bin/python"


def test_a_named_interpreter_comes_before_that_of_the_environment(tmp_path: Path) -> None:
    interpreter(tmp_path / ".venv" / "bin" / "python", "3.11")
    named = interpreter(tmp_path / "other" / "python", "3.12")
    assert find(tmp_path, tmp_path, PYTHON=str(named)).stdout.strip() == str(named)
    rejected = find(tmp_path, tmp_path, PYTHON=str(tmp_path / "none"))
    assert rejected.returncode == 1
    assert "PYTHON=" in rejected.stderr


def test_an_environment_whose_interpreter_is_gone_is_made_anew(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    interpreter(programs / "python3.13", "3.13")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    assert find(tmp_path, programs).stdout.strip() == str(programs / "python3.13")


@pytest.mark.parametrize(
    "name",
    ["PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "NODE_ENV", "NODE_OPTIONS", "PIP_USER",
     "PIP_TARGET", "UV_REQUIRE_HASHES", "UV_PYTHON", "npm_config_omit", "npm_config_prefix", "NPM_CONFIG_PRODUCTION"],
)  # fmt: skip
def test_variables_that_change_the_installation_are_ignored(name: str) -> None:
    assert name not in bootstrap.tool_variables({name: "x", "HOME": "/tmp"})


@pytest.mark.parametrize(
    "name",
    ["HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "PIP_CERT", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_CACHE_DIR",
     "UV_DEFAULT_INDEX", "npm_config_registry", "NODE_EXTRA_CA_CERTS", "UV_NATIVE_TLS"],
)  # fmt: skip
def test_indexes_proxies_and_certificates_are_used(name: str) -> None:
    assert bootstrap.tool_variables({name: "x", "HOME": "/tmp"})[name] == "x"


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_a_mirror_that_is_named_once_serves_pip_and_uv(name: str) -> None:
    variables = bootstrap.tool_variables({name: "https://mirror.example/simple", "HOME": "/tmp"})
    assert variables["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert "https://mirror.example/simple" in (variables.get("UV_DEFAULT_INDEX"), variables.get("UV_INDEX_URL"))


def test_without_a_writable_home_caches_are_the_projects_own() -> None:
    variables = bootstrap.tool_variables({"HOME": "/proc/nonexistent"})
    assert variables["UV_CACHE_DIR"].startswith(str(PROJECT / ".local"))
    assert "UV_CACHE_DIR" not in bootstrap.tool_variables({"HOME": "/proc/nonexistent", "XDG_CACHE_HOME": "/tmp"})


@pytest.mark.parametrize(
    ("command", "mirrors"),
    [
        (["uv", "pip", "install", "--no-config", "--no-cache", "--dry-run", "--python", sys.executable, "loupe-none"],
         ["http://127.0.0.1:9/simple", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"]),
        (["python", "-m", "pip", "download", "--isolated", "--no-deps", "--index-url", NOWHERE, "--retries", "1",
          "loupe-none"], ["http://127.0.0.1:9/simple", "PIP_INDEX_URL"]),
        (["npm", "view", "loupe-none", "--fetch-retries=0"], ["http://127.0.0.1:9/simple", "npm_config_registry"]),
    ],
    ids=["uv", "pip", "npm"],
)  # fmt: skip
def test_an_index_that_is_not_reached_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], mirrors: list[str]
) -> None:
    """With the programs themselves: their words for it may change with every release."""
    module = load()
    module.LOG = tmp_path / "setup.log"
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOWHERE)
    monkeypatch.setenv("npm_config_registry", NOWHERE)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with pytest.raises(module.SetupError) as failure:
        module.run(BIN / command[0], *command[1:])
    message = str(failure.value)
    assert "\n" not in message
    assert all(part in message for part in mirrors), message
    assert "loupe-none" in module.LOG.read_text()


@pytest.mark.allow_hosts([HOST])
@pytest.mark.parametrize(
    ("command", "certificates"),
    [
        (["uv", "pip", "install", "--no-config", "--no-cache", "--dry-run", "--python", sys.executable, "loupe-none"],
         "SSL_CERT_FILE=FILE"),
        (["python", "-m", "pip", "download", "--isolated", "--no-deps", "--retries", "0", "loupe-none"],
         "SSL_CERT_FILE=FILE"),
        (["npm", "view", "loupe-none", "--fetch-retries=0"], "NODE_EXTRA_CA_CERTS=FILE"),
    ],
    ids=["uv", "pip", "npm"],
)  # fmt: skip
def test_an_index_with_an_unknown_certificate_is_one_sentence_that_says_how_to_trust_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], certificates: str
) -> None:
    """As behind a proxy that inspects TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(context)
    module = load()
    module.LOG = tmp_path / "setup.log"
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with site(lambda visit: visit.answer(b""), context) as served:
        index = f"https://{HOST}:{served.port}/simple"
        monkeypatch.setenv("UV_DEFAULT_INDEX", index)
        monkeypatch.setenv("npm_config_registry", index)
        options = ["--index-url", index] if "download" in command else []
        with pytest.raises(module.SetupError) as failure:
            module.run(BIN / command[0], *command[1:], *options)
    message = str(failure.value)
    assert "\n" not in message
    assert index in message
    assert certificates in message


def test_credentials_of_an_index_are_not_printed() -> None:
    message = bootstrap.unreachable("uv", {"UV_DEFAULT_INDEX": "https://me:secret@mirror.example/simple"})
    assert "https://mirror.example/simple" in message
    assert "secret" not in message


def test_another_failure_shows_its_last_lines(tmp_path: Path) -> None:
    module = load()
    module.LOG = tmp_path / "setup.log"
    with pytest.raises(module.SetupError, match="this went wrong"):
        module.run("sh", "-c", "echo this went wrong; exit 3")


def test_cdk_of_the_activated_environment_is_the_pinned_one(tmp_path: Path) -> None:
    """From any folder, with another `cdk` and no Node on the path."""
    launcher = tmp_path / "a project" / ".venv" / "bin" / "cdk"
    interpreter(launcher, "launcher").write_text(bootstrap.LAUNCHER)
    pinned = interpreter(tmp_path / "a project" / "node_modules" / ".bin" / "cdk", "pinned")
    pinned.write_text('#!/bin/sh\necho "$JSII_NODE|$NODE_OPTIONS|$1|${PATH%%:*}"\n')
    environment = {"PATH": f"{launcher.parent}:/usr/bin:/bin", "NODE_OPTIONS": "--none"}
    done = subprocess.run(["cdk", "deploy now"], cwd="/", env=environment, capture_output=True, text=True, timeout=60)
    programs = launcher.parent
    assert done.stdout.strip() == f"{programs}/node||deploy now|{programs}", done.stderr
