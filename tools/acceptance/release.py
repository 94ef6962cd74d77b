"""Release a damaged model as a canary: golden cases must stop it before it gets traffic, and the alias must stay."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tools.acceptance.target import AcceptanceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tools.acceptance.suite import Context

# The shortest shift that its alarms can judge.
RULES: Mapping[str, Any] = {"strategy": "canary", "percent": 50, "interval_minutes": 3, "environments": 2}
ALIAS = "live"
_DAMAGED = "acceptance-damaged"
_MARK = "golden case"


@contextmanager
def damaged(model: Path) -> Iterator[str]:
    """Put a model beside another one that gives its labels in the wrong order, and return its name.

    Weights, graph and golden images are those of the other model, so that it starts, answers every request and is wrong
    about each image, as a model is whose training read its folders in another order.
    """
    folder = model.parent / _DAMAGED
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.py", "*.npz", "__pycache__"))
        card = json.loads((folder / "card.json").read_bytes())
        card["name"] = _DAMAGED
        card["output"]["labels"] = card["output"]["labels"][::-1]
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        yield _DAMAGED
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check(context: Context, model: Path) -> str:
    """Release the damaged model over the deployed one and require a rollback by a golden case.

    Raises
    ------
    AcceptanceError
        If the release went through or failed for another reason, or the alias serves another model.
    """
    with damaged(model) as name:
        outcome = context.target.release({**context.settings, "model": {"name": name}})
    if not outcome.rolled_back:
        raise AcceptanceError(f"the damaged model was released: {outcome.reason}")
    cases = [finding for finding in outcome.findings if _MARK in finding]
    if not cases:
        raise AcceptanceError(f"the release was rolled back, but not by a golden case: {outcome.reason}")
    served = _served(context)
    if served != model.name:
        raise AcceptanceError(f"after the rollback the alias serves {served!r} in place of {model.name!r}")
    return f"rolled back ({outcome.reason}): {cases[0]}"


def _served(context: Context) -> str:
    """Return the default model of the version that gets all traffic."""
    functions, name = context.target.client("lambda"), context.endpoint.outputs["FunctionName"]
    alias = functions.get_alias(FunctionName=name, Name=ALIAS)
    if weights := (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        raise AcceptanceError(f"after the rollback the alias still shares its traffic: {weights}")
    version = functions.get_function_configuration(FunctionName=name, Qualifier=alias["FunctionVersion"])
    served: str = version["Environment"]["Variables"]["LOUPE_MODEL"]
    return served
