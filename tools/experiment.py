"""`python -m tools.experiment`: show and change the weights of a deployed experiment."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from botocore.exceptions import BotoCoreError, ClientError
from loupe.experiment import MAX_WEIGHT, WeightsError, choose, parse_weights

from infra.experiment_weights import parameter_name
from infra.paths import PROJECT_ROOT
from infra.settings import SettingsError, load_settings
from tools.operations.target import LOCAL_STATE, OperationError, connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.settings import ExperimentSettings, Settings

# Made-up callers, to see how many change their arm.
CALLERS = 10_000
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Weights of an experiment, without a deployment.")


class ExperimentError(Exception):
    """Weights that cannot be read or written; the message says what to do."""


class ParameterStore(Protocol):
    """The calls of boto3's client that are used."""

    def get_parameter(self, *, Name: str) -> Any: ...  # noqa: N803 (AWS's name)
    def put_parameter(self, **arguments: Any) -> Any: ...


@dataclass(frozen=True)
class Change:
    """Weights before and after, by arm, and the version of the parameter that has them."""

    before: Mapping[str, int]
    after: Mapping[str, int]
    version: int
    written: bool


class LiveExperiment:
    """The deployed experiment of one environment.

    Raises
    ------
    ExperimentError
        If the environment has no experiment whose weights are live.
    """

    def __init__(self, settings: Settings, store: ParameterStore) -> None:
        if settings.experiment is None or not settings.experiment.live_weights:
            raise ExperimentError(
                f"{settings.environment} has no experiment with live_weights: set both in cdk.json, and deploy."
            )
        self.experiment: ExperimentSettings = settings.experiment
        self.arms = tuple(arm.name for arm in self.experiment.arms)
        self.parameter = parameter_name(settings.environment)
        self._environment, self._store = settings.environment, store

    def read(self) -> tuple[dict[str, int], int]:
        """Return the weights in force by arm, and the parameter's version.

        Raises
        ------
        ExperimentError
            If there are none, or other arms are deployed.
        """
        text, version = self._text()
        try:
            return parse_weights(text, self.arms), version
        except WeightsError as error:
            raise ExperimentError(
                f"{self.parameter} is not valid: {error} Name every arm to write it again, or deploy "
                f"{self._environment} if cdk.json has other arms than the deployed function."
            ) from error

    def write(self, assignments: Sequence[str]) -> Change:
        """Write weights such as ``a=90``; arms that are not named keep theirs.

        Weights with unchanged ratios are not written: no unit would change its arm.

        Raises
        ------
        ExperimentError
            If they are not valid, or cannot be written. Nothing is written then.
        """
        named = _parsed(assignments, self.arms)
        if named.keys() == set(self.arms):
            # Also replaces a value that is not valid.
            text, version = self._text()
            try:
                before = parse_weights(text, self.arms)
            except WeightsError:
                before = {}
        else:
            before, version = self.read()
        after = {arm: named.get(arm, before.get(arm, 0)) for arm in self.arms}
        value = json.dumps(after)
        try:
            parse_weights(value, self.arms)
        except WeightsError as error:
            raise ExperimentError(f"{error} Nothing was written.") from error
        if before and _same_ratios(before, after):
            return Change(before, before, version, written=False)
        try:
            reply = self._store.put_parameter(Name=self.parameter, Value=value, Type="String", Overwrite=True)
        except (ClientError, BotoCoreError) as error:
            raise self._failure("ssm:PutParameter", error) from error
        return Change(before, after, int(reply["Version"]), written=True)

    def moved(self, change: Change) -> Counter[tuple[str, str]]:
        """Return how many of `CALLERS` made-up callers change from one arm to another."""
        moves: Counter[tuple[str, str]] = Counter()
        for number in range(CALLERS if change.before else 0):
            key = f"caller-{number}".encode()
            old, new = (choose(self.experiment.name, weights, key) for weights in (change.before, change.after))
            if old != new:
                moves[old, new] += 1
        return moves

    def _text(self) -> tuple[str, int]:
        # The parameter belongs to the stack: it is never created here, or the deployment could not create it.
        try:
            parameter = self._store.get_parameter(Name=self.parameter)["Parameter"]
        except (ClientError, BotoCoreError) as error:
            raise self._failure("ssm:GetParameter", error) from error
        return str(parameter["Value"]), int(parameter["Version"])

    def _failure(self, action: str, error: Exception) -> ExperimentError:
        code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
        if code == "ParameterNotFound":
            return ExperimentError(
                f"There is no parameter {self.parameter} in this account and region: deploy {self._environment} first, "
                "or select its account."
            )
        return ExperimentError(f"{action} on {self.parameter} failed: {error}")


def report(live: LiveExperiment, weights: Mapping[str, int], version: int) -> str:
    """Return the weights and shares of all arms as a table."""
    models, total = {arm.name: arm.model for arm in live.experiment.arms}, sum(weights.values())
    wide, wider = (max(map(len, column)) for column in (live.arms, models.values()))
    rows = [
        f"  {arm:<{wide}}  {models[arm]:<{wider}}  {weight:>6}  {100 * weight / total:5.1f} %"
        for arm, weight in weights.items()
    ]
    return "\n".join([f"experiment {live.experiment.name}, {live.parameter} version {version}", *rows])


def _parsed(assignments: Sequence[str], arms: Sequence[str]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for assignment in assignments:
        arm, _, weight = assignment.partition("=")
        if arm not in arms or arm in weights:
            raise ExperimentError(f"{assignment!r}: name each arm once, of {', '.join(arms)}, such as {arms[0]}=90.")
        if not (weight.isascii() and weight.isdigit() and int(weight) <= MAX_WEIGHT):
            raise ExperimentError(f"{assignment!r}: a weight is a whole number from 0 to {MAX_WEIGHT}.")
        weights[arm] = int(weight)
    return weights


def _same_ratios(before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    old, new = sum(before.values()), sum(after.values())
    return all(before[arm] * new == after[arm] * old for arm in before)


Env = Annotated[str, typer.Argument(help="Environment of cdk.json.")]
Weights = Annotated[list[str], typer.Argument(metavar="ARM=WEIGHT...", help="For example a=90 b=10.")]
Patch = Annotated[str | None, typer.Option("--settings", help="JSON merge patch over it, as -c settings=... takes it.")]
State = Annotated[Path, typer.Option(help="Folder of the local cloud, for environment local.")]


@app.command(help="Print the weights in force.")
def show(env: Env, patch: Patch = None, state: State = LOCAL_STATE) -> None:
    try:
        live = _open(env, patch, state)
        typer.echo(report(live, *live.read()))
    except (ExperimentError, OperationError, SettingsError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@app.command(
    name="set-weights",
    help="""Check and write weights, such as a=90 b=10; arms that are not named keep theirs, and 0 pauses an arm.

It prints how many of 10,000 made-up callers change their arm, and the weights in force afterwards.""",
)
def set_weights(
    env: Env,
    weights: Annotated[list[str], typer.Argument(help="arm=weight")],
    patch: Patch = None,
    state: State = LOCAL_STATE,
) -> None:
    try:
        live = _open(env, patch, state)
        change = live.write(weights)
        for (old, new), count in sorted(live.moved(change).items()):
            typer.echo(f"{old} -> {new}: {100 * count / CALLERS:.1f} % of the callers")
        typer.echo("written" if change.written else "not written: these ratios are in force")
        typer.echo(report(live, change.after, change.version))
    except (ExperimentError, OperationError, SettingsError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _open(env: str, patch: str | None, state: Path) -> LiveExperiment:
    context = json.loads((PROJECT_ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    settings = load_settings(context, env, patch)
    return LiveExperiment(settings, connect(env, state=state, patch=patch).aws.client("ssm"))


if __name__ == "__main__":
    app(prog_name="python -m tools.experiment")
