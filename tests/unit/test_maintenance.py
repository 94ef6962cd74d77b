"""The weekly workflow's steps: audit of every lock file, and the base image as a pull request."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from infra.paths import PROJECT_ROOT
from tools.audit import ACCEPTED, audit, lock_files
from tools.propose_base import ProposalError, gh, propose


def names() -> set[str]:
    return {path.relative_to(PROJECT_ROOT).as_posix() for path in lock_files()}


def test_every_lock_file_is_audited() -> None:
    assert {
        "requirements.txt", "requirements/deploy.txt", "function/requirements.txt", "authorizer/requirements.txt",
        "benchmarks/requirements.txt", "tests/clients/requirements.txt", "models/hair-type/requirements-train.txt",
        "package-lock.json", "tests/clients/package-lock.json",
    } <= names()  # fmt: skip
    assert not [name for name in names() if name.endswith(".in")]


def test_each_ecosystem_has_its_tool_and_nothing_is_skipped(tmp_path: Path) -> None:
    calls: list[tuple[list[str], Path]] = []
    locks = [tmp_path / "requirements.txt", tmp_path / "package-lock.json"]

    def run(arguments: Any, folder: Path) -> int:
        calls.append((list(arguments), folder))
        return 0

    assert list(audit(locks, run)) == []
    (python, node) = calls
    # Without it, pip-audit passes with packages that the index does not know.
    assert "--strict" in python[0]
    assert python[0][python[0].index("--requirement") + 1] == "requirements.txt"
    assert node[0][:2] == ["npm", "audit"]
    assert {folder for _, folder in calls} == {tmp_path}


def test_a_vulnerable_lock_file_does_not_hide_the_next_one(tmp_path: Path) -> None:
    locks = [tmp_path / "requirements.txt", tmp_path / "package-lock.json"]
    assert list(audit(locks, lambda *_: 1)) == locks


def test_an_accepted_vulnerability_has_a_reason() -> None:
    assert all(reason for reason in ACCEPTED.values())


def lock(digest: str, day: str = "2026-11-01") -> str:
    image = {"image": "public.ecr.aws/lambda/python:3.13", "digests": {"linux/amd64": digest}, "locked": day}
    return json.dumps(image)


class GitHub:
    """A repository: the lock file of each branch, and its open pull request."""

    def __init__(self, main: str | None) -> None:
        self.files = {"main": main}
        self.pulls: list[str] = []
        self.writes: list[str] = []
        self.description = ""

    def __call__(self, arguments: Any, body: str) -> str:
        if arguments[:2] == ["pr", "list"]:
            return json.dumps([{"url": url} for url in self.pulls])
        if arguments[:2] == ["pr", "create"]:
            self.pulls.append("https://github.example/pull/1")
            self.description = body
            return f"{self.pulls[0]}\n"
        assert arguments[:2] == ["api", "--method"]
        method, path = arguments[2:4]
        values = json.loads(body) if body else {}
        return json.dumps(self._api(method, path.removeprefix("repos/o/n/"), values))

    def _api(self, method: str, path: str, values: dict[str, Any]) -> Any:
        if method == "GET" and path.startswith("contents/"):
            content = self.files.get(path.partition("?ref=")[2])
            if content is None:
                raise ProposalError("gh api failed: HTTP 404")
            return {"content": base64.b64encode(content.encode()).decode(), "sha": "blob"}
        if method == "GET":
            return {"object": {"sha": "head"}}
        self.writes.append(f"{method} {path.partition('/contents')[0].partition('contents')[0] or 'contents'}")
        if method == "POST":
            if "base-image" in self.files:
                raise ProposalError("gh api failed: Reference already exists (HTTP 422)")
            self.files["base-image"] = self.files["main"]
        if method == "PATCH":
            assert values == {"sha": "head", "force": True}
            self.files["base-image"] = self.files["main"]
        if method == "PUT":
            # GitHub takes the blob that a file replaces, and none for a new file.
            assert ("sha" in values) == (self.files["base-image"] is not None)
            self.files["base-image"] = base64.b64decode(values["content"]).decode()
        return {}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "function").mkdir()
    return tmp_path


def run(project: Path, github: GitHub, content: str) -> str:
    path = project / "function" / "base-image.lock"
    path.write_text(content)
    return propose("o/n", "main", path, github, project)


def test_a_new_base_image_becomes_a_pull_request_with_both_digests(project: Path) -> None:
    github = GitHub(lock("sha256:old"))
    assert run(project, github, lock("sha256:new")) == "opened https://github.example/pull/1"
    assert github.files["base-image"] == lock("sha256:new")
    assert github.files["main"] == lock("sha256:old")
    assert "sha256:old" in github.description
    assert "sha256:new" in github.description


def test_the_first_lock_file_is_proposed_too(project: Path) -> None:
    assert run(project, GitHub(None), lock("sha256:new")).startswith("opened")


def test_another_day_with_the_same_digests_is_no_change(project: Path) -> None:
    github = GitHub(lock("sha256:old"))
    assert run(project, github, lock("sha256:old", "2026-11-26")) == "the base image has not changed"
    assert github.writes == []


def test_an_open_pull_request_is_updated_and_an_equal_one_left_alone(project: Path) -> None:
    github = GitHub(lock("sha256:old"))
    run(project, github, lock("sha256:new"))
    writes = len(github.writes)
    assert run(project, github, lock("sha256:new")).startswith("updated")
    assert len(github.writes) == writes
    assert run(project, github, lock("sha256:newer")).startswith("updated")
    assert github.files["base-image"] == lock("sha256:newer")
    assert len(github.pulls) == 1


def test_what_github_rejects_is_reported_clearly(project: Path) -> None:
    def denied(arguments: Any, body: str) -> str:
        raise ProposalError("gh api failed: HTTP 403: Resource not accessible by integration")

    path = project / "function" / "base-image.lock"
    with pytest.raises(ProposalError, match="make lock-base"):
        propose("o/n", "main", path, denied, project)
    path.write_text(lock("sha256:new"))
    with pytest.raises(ProposalError, match="HTTP 403"):
        propose("o/n", "main", path, denied, project)


def test_without_the_client_the_step_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ProposalError, match="install GitHub's client"):
        gh(["api"], "")
