"""`python -m tools.diff_comment`: the changes that a pull request makes to a deployed environment, as a comment."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Annotated

import typer

PROJECT = Path(__file__).resolve().parents[1]
CDK = PROJECT / "node_modules" / ".bin" / "cdk"
# GitHub takes comments of 65,536 characters.
_MAX_CHARACTERS = 60_000
_ACCOUNT = re.compile(r"\b\d{8}(\d{4})\b")

app = typer.Typer(add_completion=False)


@app.command()
def main(
    env: Annotated[str, typer.Option(help="Environment of cdk.json.")],
    output: Annotated[Path, typer.Option(help="Where the Markdown goes.")],
) -> None:
    """Write the difference to the deployed stack as Markdown: security changes first; AWS credentials are needed."""
    security = _diff(env, "--security-only")
    everything = _diff(env)
    output.write_text(markdown(env, security, everything), encoding="utf-8")


def markdown(env: str, security: str, everything: str) -> str:
    """Return the comment; account numbers are shortened to their last four digits.

    Parameters
    ----------
    security, everything
        Output of ``cdk diff``, of changes to permissions and of all.
    """
    room = _MAX_CHARACTERS // 2
    parts = [
        f"### `cdk diff` of `{env}`",
        "",
        "Changes to permissions and network access:",
        "",
        _block(security, room),
        "",
        "<details><summary>All changes</summary>",
        "",
        _block(everything, room),
        "",
        "</details>",
        "",
    ]
    return "\n".join(parts)


def _block(text: str, room: int) -> str:
    text = _ACCOUNT.sub(r"...\1", text.strip()) or "none"
    if len(text) > room:
        text = f"{text[:room]}\n... ({len(text) - room:,} characters more: run make diff)"
    # A longer fence than any inside cannot be closed by what the difference says.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _diff(env: str, *options: str) -> str:
    command = [str(CDK), "-c", f"env={env}", "diff", "--no-color", "--no-notices", *options]
    process = subprocess.run(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if process.returncode != 0:
        typer.echo(process.stdout, err=True)
        typer.echo("error: cdk diff failed: are there AWS credentials, and is the account bootstrapped?", err=True)
        raise typer.Exit(1)
    return process.stdout


if __name__ == "__main__":
    app()
