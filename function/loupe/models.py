"""Several models in one deployment: a service for each, created at INIT or by its first request.

A deployment with one model does not import this module.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from loupe.card import load_card
from loupe.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from loupe.card import Card
    from loupe.service import ClassificationService


class Models:
    """The services of a deployment by the name of their model; safe to use from several threads.

    Parameters
    ----------
    folder
        Contains a folder for each model.
    names
        All models, the default first.
    create
        Loads a model and returns its service; raises `loupe.card.CardError` if the model cannot be served.

    Examples
    --------
    >>> models = Models(folder, ["hair-type", "hair-type-large"], create)
    >>> models.service("hair-type-large").classify(data).model.name
    'hair-type-large'
    """

    def __init__(self, folder: Path, names: Sequence[str], create: Callable[[str], ClassificationService]) -> None:
        self.names = tuple(names)
        self._folder, self._create = folder, create
        self._services: dict[str, ClassificationService] = {}
        self._lock = threading.Lock()

    def service(self, name: str) -> ClassificationService:
        """Return the service of a model, which is created by its first call.

        Raises
        ------
        loupe.errors.NotFound
            If the deployment has no such model.
        """
        if name not in self.names:
            raise no_such_model(self.names)
        with self._lock:
            if name not in self._services:
                self._services[name] = self._create(name)
            return self._services[name]

    def cards(self) -> list[Card]:
        """Return the cards of all models, the default first; it loads no model."""
        return [
            self._services[name].card if name in self._services else load_card(self._folder / name)
            for name in self.names
        ]


def no_such_model(names: Sequence[str]) -> NotFound:
    """Return the problem of a request that names none of these models."""
    return NotFound(f"This endpoint has no such model. There are: {', '.join(names)}.")
