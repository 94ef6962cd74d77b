"""`python -m tools.delivery`: the command line of the delivery's steps."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import boto3
import typer

from infra import base_image
from infra.paths import PROJECT_ROOT
from infra.settings import SettingsError, load_settings
from infra.settings.delivery import load_delivery
from tools.delivery import gate as gates
from tools.delivery import registry, sbom, smoke, stack
from tools.delivery.builds import AUTHORIZER, FUNCTION, builds, current_commit, read_context
from tools.delivery.engine import Engine
from tools.delivery.errors import DeliveryError
from tools.delivery.outputs import publish

BILLS = PROJECT_ROOT / ".local" / "sbom"
_QUALIFIER = "@aws-cdk/core:bootstrapQualifier"
Environment = Annotated[str, typer.Option("--env", help="Environment of cdk.json.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Steps of .github/workflows/deliver.yml.")


@app.command()
def gate(
    env: Environment = "dev",
    base: Annotated[str, typer.Option(help="Commit that was delivered last; none: verify only.")] = "",
    images: Annotated[str | None, typer.Option(help="Folder of labelled images; default: golden images.")] = None,
) -> None:
    """Verify the served models; compare changed ones with those of a commit."""
    context = read_context()
    models = load_delivery(context).models if "delivery" in context else load_settings(context, env).packaged
    gates.gate(models, base or None, typer.echo, images=images)


@app.command()
def image(env: Environment = "dev") -> None:
    """Build the images of this commit, for one platform and without attestations (Docker)."""
    engine = Engine.of_environment()
    for build in builds(read_context(), env, current_commit()):
        engine.build(build.image, build.local_tag)
        typer.echo(f"built {build.local_tag}")


@app.command("sbom")
def bill(env: Environment = "dev") -> None:
    """Write a CycloneDX bill of materials of each built image to .local/sbom (Docker)."""
    engine = Engine.of_environment()
    BILLS.mkdir(parents=True, exist_ok=True)
    for build in builds(read_context(), env, current_commit()):
        packages = sbom.components(build, engine)
        base = build.image.build_args.get("BASE") or base_image.default_image()
        path = BILLS / f"{build.name}.cdx.json"
        path.write_text(json.dumps(sbom.document(build, packages, base), indent=2) + "\n", encoding="utf-8")
        typer.echo(f"{path.relative_to(PROJECT_ROOT)}: {len(packages)} packages")


@app.command()
def push() -> None:
    """Push the built images to the registry of context.delivery; print their digests (AWS credentials, Docker)."""
    context = read_context()
    settings = load_delivery(context).settings.registry
    ecr = boto3.client("ecr", region_name=settings.region)
    engine = Engine.of_environment()
    commit = current_commit()
    digests = {FUNCTION: "", AUTHORIZER: ""}
    for build in builds(context, "dev", commit):
        digests[build.name] = registry.push(build, settings, ecr, engine, typer.echo)
    publish({"digest": digests[FUNCTION], "authorizer-digest": digests[AUTHORIZER], "commit": commit})


@app.command()
def deployed(env: Environment = "dev") -> None:
    """Print what a delivery deployed last: digests and commit; empty before the first one (AWS credentials)."""
    context = read_context()
    session = stack.lookup_session(load_settings(context, env), context.get(_QUALIFIER, stack.QUALIFIER))
    outputs = stack.outputs(session.client("cloudformation"), f"Loupe-{env}")
    publish(
        {
            "digest": outputs.get("DeliveredDigest", ""),
            "authorizer-digest": outputs.get("DeliveredAuthorizerDigest", ""),
            "commit": outputs.get("DeliveredCommit", ""),
        }
    )


@app.command("smoke", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def smoke_test(context: typer.Context, env: Environment = "dev") -> None:
    """Smoke-test a deployed environment; further options are those of python -m tools.smoke (AWS credentials)."""
    values = read_context()
    settings = load_settings(values, env)
    session = stack.lookup_session(settings, values.get(_QUALIFIER, stack.QUALIFIER))
    raise typer.Exit(smoke.run(settings, session, context.args))


def main() -> None:
    """Run a command; exit with 1 and a sentence if it fails."""
    try:
        app()
    except (DeliveryError, SettingsError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    # The engine and modelkit write to the same terminal.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main()
