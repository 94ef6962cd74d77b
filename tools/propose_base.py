"""`python -m tools.propose_base`: a changed ``function/base-image.lock`` as a pull request, by GitHub's own client.

The commit is made by GitHub's API, so that it is signed and that no credentials are stored in the clone.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.base_image import LOCK
from infra.paths import PROJECT_ROOT

BRANCH = "base-image"
TITLE = "Update the base image"
# Arguments of gh, its standard input -> what it prints.
Client = Callable[[Sequence[str], str], str]


class ProposalError(Exception):
    """The pull request was not made. The message says why."""


def gh(arguments: Sequence[str], body: str) -> str:
    """Run GitHub's client; `ProposalError` with its message if it fails."""
    try:
        done = subprocess.run(["gh", *arguments], input=body, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ProposalError("There is no program gh: install GitHub's client (https://cli.github.com).") from None
    if done.returncode != 0:
        raise ProposalError(f"gh {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def propose(repository: str, base: str, lock: Path, client: Client, project: Path = PROJECT_ROOT) -> str:
    """Commit the lock file to a branch, and open a pull request unless one is open; return what was done.

    Parameters
    ----------
    repository
        ``OWNER/NAME``.
    base
        Branch that the pull request is for.

    Raises
    ------
    ProposalError
        If there is no lock file, or GitHub rejects a call.
    """
    name = lock.relative_to(project).as_posix()
    try:
        content = lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProposalError(f"{name} is missing: `make lock-base` writes it.") from None
    current = _file(client, repository, name, base)
    if current is not None and _digests(current) == _digests(content):
        return "the base image has not changed"
    proposed = _file(client, repository, name, BRANCH)
    if proposed is None or _digests(proposed) != _digests(content):
        _commit(client, repository, base, name, content)
    pulls = json.loads(
        client(["pr", "list", "--repo", repository, "--head", BRANCH, "--state", "open", "--json", "url"], "")
    )
    if pulls:
        return f"updated {pulls[0]['url']}"
    description = _description(current, content)
    arguments = ["pr", "create", "--repo", repository, "--base", base, "--head", BRANCH, "--title", TITLE]
    return f"opened {client([*arguments, '--body-file', '-'], description).strip()}"


def _commit(client: Client, repository: str, base: str, name: str, content: str) -> None:
    """Move the branch to the base branch's commit and add one commit with the file."""
    head = _api(client, "GET", f"repos/{repository}/git/ref/heads/{base}")["object"]["sha"]
    try:
        _api(client, "POST", f"repos/{repository}/git/refs", {"ref": f"refs/heads/{BRANCH}", "sha": head})
    except ProposalError:
        # It is there from an earlier proposal.
        _api(client, "PATCH", f"repos/{repository}/git/refs/heads/{BRANCH}", {"sha": head, "force": True})
    commit: dict[str, Any] = {
        "message": TITLE,
        "content": base64.b64encode(content.encode()).decode(),
        "branch": BRANCH,
    }
    if sha := _blob(client, repository, name, BRANCH):
        commit["sha"] = sha
    _api(client, "PUT", f"repos/{repository}/contents/{name}", commit)


def _description(current: str | None, content: str) -> str:
    before = _digests(current) if current else {}
    rows = [f"| {platform} | {before.get(platform, 'none')} | {new} |" for platform, new in _digests(content).items()]
    return "\n".join(
        [
            "AWS has published another base image. `make lock-base` wrote its digests:",
            "",
            "| platform | before | now |",
            "|---|---|---|",
            *rows,
            "",
            "Checks of a pull request that a workflow opens wait for approval: choose *Approve workflows to run*.",
            "",
        ]
    )


def _file(client: Client, repository: str, name: str, ref: str) -> str | None:
    """Return a file of a branch, or None where the branch or the file is missing."""
    try:
        response = _api(client, "GET", f"repos/{repository}/contents/{name}?ref={ref}")
    except ProposalError as error:
        if "HTTP 404" in str(error):
            return None
        raise
    return base64.b64decode(response["content"]).decode()


def _blob(client: Client, repository: str, name: str, ref: str) -> str | None:
    try:
        sha: str = _api(client, "GET", f"repos/{repository}/contents/{name}?ref={ref}")["sha"]
    except ProposalError as error:
        if "HTTP 404" in str(error):
            return None
        raise
    return sha


def _api(client: Client, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    options = ["--input", "-"] if body is not None else []
    response: dict[str, Any] = json.loads(
        client(["api", "--method", method, path, *options], json.dumps(body) if body is not None else "")
    )
    return response


def _digests(content: str) -> dict[str, str]:
    digests: dict[str, str] = json.loads(content)["digests"]
    return digests


def main(arguments: Sequence[str]) -> int:
    """Propose the lock file; return 1 with a sentence if that fails."""
    repository, base = (*arguments, "", "")[:2]
    if not repository or not base:
        print("usage: python -m tools.propose_base OWNER/NAME BRANCH", file=sys.stderr)
        return 2
    try:
        print(propose(repository, base, LOCK, gh))
    except ProposalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
