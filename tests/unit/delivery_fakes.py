"""Shared by tests of the delivery: commits, an error of AWS, and the settings of tokens."""

from __future__ import annotations

import subprocess
from pathlib import Path

from botocore.exceptions import ClientError

JWT = {"mode": "jwt", "jwt": {"issuer": "https://id.example.com/", "audience": ["https://images.example"]}}


def rejected(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Call")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()
