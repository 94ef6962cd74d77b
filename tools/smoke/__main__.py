"""`python -m tools.smoke`: the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tools.smoke import card as cards
from tools.smoke import report
from tools.smoke.checks import all_checks
from tools.smoke.credentials import Anonymous, ApiKey, AwsSignature, BearerToken, Credentials
from tools.smoke.endpoint import CheckError, Endpoint
from tools.smoke.suite import Options, Run, execute

PROJECT = Path(__file__).resolve().parents[2]
ENDPOINT = PROJECT / ".local" / "endpoint.json"

out = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)
app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    help="""Check a deployed endpoint over HTTP: health, golden images, inputs, rejections, CORS, latency.

Exit code 0 if every check passed, 1 if one failed, 2 if the endpoint could not be tested.

Examples:

    python -m tools.smoke                                    # the local cloud that `make up` started

    python -m tools.smoke --url https://... --key ...        # an API key; better in the variable LOUPE_API_KEY

    python -m tools.smoke --url https://... --auth iam --region eu-central-1

    LOUPE_TOKEN=... python -m tools.smoke --url https://... --junit smoke.xml --json smoke.json
"""
)
def smoke(
    url: Annotated[str | None, typer.Option(help="Base URL; default: that of .local/endpoint.json.")] = None,
    key: Annotated[str | None, typer.Option(envvar="LOUPE_API_KEY", help="API key.", show_envvar=True)] = None,
    token: Annotated[str | None, typer.Option(envvar="LOUPE_TOKEN", help="Bearer token.", show_envvar=True)] = None,
    auth: Annotated[
        str | None, typer.Option(help="api-key, token, iam or none; default: that of the given credentials, else none.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Region of the endpoint, for --auth iam.")] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile, for --auth iam.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Folder of the model, or its name in models/; default: the model of /v1/health.")
    ] = None,
    cors_origin: Annotated[str | None, typer.Option(help="An origin that the deployment allows.")] = None,
    throttle_requests: Annotated[int, typer.Option(min=0, max=1000, help="Concurrent requests to provoke a 429.")] = 0,
    latency_requests: Annotated[int, typer.Option(min=1, max=1000, help="Requests of the latency check.")] = 20,
    max_p95_ms: Annotated[float | None, typer.Option(min=0, help="Fail if p95 of the round trip is higher.")] = None,
    job_manifest: Annotated[
        str | None, typer.Option(help="Manifest (s3://...) of a few images, over which a bulk job is run.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write JSON here; - for standard output.")] = None,
) -> None:
    console = errors if json_ == Path("-") else out
    endpoint = None
    try:
        url, key = _target(url, key)
        endpoint = Endpoint(url, _credentials(auth, key, token, region, profile))
        run = Run(
            endpoint,
            cards.read(_model_folder(endpoint, model)),
            Options(cors_origin, throttle_requests, latency_requests, max_p95_ms, job_manifest),
        )
        console.print(f"{endpoint.url}\n")
        outcomes = execute(run, all_checks(run.card), lambda outcome: report.line(console, outcome))
        report.summary(console, run, outcomes)
        if junit is not None:
            junit.write_text(report.as_junit(run, outcomes), encoding="utf-8")
        if json_ == Path("-"):
            print(report.as_json(run, outcomes))
        elif json_ is not None:
            json_.write_text(report.as_json(run, outcomes) + "\n", encoding="utf-8")
    except (ValueError, CheckError, OSError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        errors.print("\ninterrupted")
        raise typer.Exit(130) from None
    finally:
        if endpoint is not None:
            endpoint.close()
    raise typer.Exit(0 if all(outcome.status != "failed" for outcome in outcomes) else 1)


def _target(url: str | None, key: str | None) -> tuple[str, str | None]:
    """The URL and key that were given, else those of the local cloud."""
    if url is None:
        try:
            local: dict[str, Any] = json.loads(ENDPOINT.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError("There is no --url, and no local cloud is up: `make up` starts one.") from None
        return local["url"], key or local["api_key"]
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"--url {url!r} must begin with https:// (or http:// for the local cloud).")
    return url, key


def _credentials(
    auth: str | None, key: str | None, token: str | None, region: str | None, profile: str | None
) -> Credentials:
    kind = auth or ("api-key" if key else "token" if token else "none")
    if kind == "api-key":
        if not key:
            raise ValueError("--auth api-key needs --key, or the variable LOUPE_API_KEY.")
        return ApiKey(key)
    if kind == "token":
        if not token:
            raise ValueError("--auth token needs --token, or the variable LOUPE_TOKEN.")
        return BearerToken(token)
    if kind == "iam":
        return AwsSignature.from_session(region or os.environ.get("AWS_REGION"), profile)
    if kind == "none":
        return Anonymous()
    raise ValueError(f"--auth {kind!r} must be api-key, token, iam or none.")


def _model_folder(endpoint: Endpoint, model: str | None) -> Path:
    if model is not None:
        folder = Path(model)
        return folder if folder.is_dir() else PROJECT / "models" / model
    reply = endpoint.get("v1/health", credentials=Anonymous())
    try:
        name = reply.json["model"]["name"]
    except (KeyError, TypeError):
        raise ValueError(
            f"{endpoint.url}v1/health gives HTTP {reply.status}, {reply.excerpt}: is this the URL of a Loupe endpoint?"
        ) from None
    folder = PROJECT / "models" / Path(name).name
    if not folder.is_dir():
        raise ValueError(f"The endpoint serves {name!r}, which is not in models/: name its folder with --model.")
    return folder


if __name__ == "__main__":
    sys.exit(app())
