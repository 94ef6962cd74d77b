"""Check a model's files against its card: present, complete, and all that the graph needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loupe.card import CardError
from loupe.model_files import MissingFileError, check_file

from modelkit.checks import Check
from modelkit.errors import ModelkitError
from modelkit.graph import external_files, load_graph

if TYPE_CHECKING:
    from loupe.card import Card, ModelFile


def check_files(card: Card) -> list[Check]:
    """Check every file of the card, and every file that the graph needs."""
    checks = [_check_file(card, file) for file in card.files]
    graph = next(check for check in checks if check.name == f"file {card.graph}")
    if graph.status == "pass":
        checks += _check_external(card)
    return checks


def _check_file(card: Card, file: ModelFile) -> Check:
    name = f"file {file.path}"
    try:
        place = check_file(card.directory, file, content=True)
    except MissingFileError as error:
        fix = f"Run 'python -m modelkit fetch {card.name}'." if file.urls else "Put it back under exactly that name."
        return Check(name, "fail", str(error), fix)
    except CardError as error:
        return Check(name, "fail", str(error), "Put the right file back; if the new one is meant, add the model again.")
    kind = "sha256" if file.sha256 else "git hash"
    return Check(name, "pass", f"{place.stat().st_size:,} bytes, {kind} as in the card.")


def _check_external(card: Card) -> list[Check]:
    try:
        files = external_files(load_graph(card.graph_path), card.graph_path.parent)
    except ModelkitError as error:
        return [Check("graph", "fail", str(error), "Put the right graph back.")]
    listed = {file.path for file in card.files}
    prefix = card.graph.rpartition("/")[0]
    checks = []
    for file in files:
        path = f"{prefix}/{file.location}" if prefix else file.location
        if file.state != "whole":
            checks.append(
                Check("external data", "fail", file.error_message(card.graph), "The graph cannot run without it.")
            )
        elif path not in listed:
            checks.append(
                Check("external data", "fail", f"{card.graph} reads {path}, which the card does not list.",
                      f"Add {path} with its sha256 to the card's files, or it is not deployed.")
            )  # fmt: skip
    return checks
