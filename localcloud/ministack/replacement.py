"""Replacement of one private function of MiniStack, and access to those that are listed in `compatibility`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.ministack.compatibility import INTERFACE

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Replacement:
    """A function of MiniStack and its successor.

    Attributes
    ----------
    module, name
        The function, as `compatibility.REPLACED` lists it.
    make
        Takes the present function and returns the successor, which has the same signature.
    """

    module: str
    name: str
    make: Callable[[Any], Any]

    def install(self) -> None:
        """Replace the function in this process."""
        successor = self.make(original(self.module, self.name))
        setattr(importlib.import_module(self.module), self.name, successor)


def original(module: str, name: str) -> Any:
    """A function or value of MiniStack.

    Raises
    ------
    LookupError
        If `compatibility.INTERFACE` does not list it.
    """
    if (module, name) not in INTERFACE:
        raise LookupError(f"{module}.{name} is not listed in localcloud/ministack/compatibility.py.")
    return getattr(importlib.import_module(module), name)


class Module:
    """A module of MiniStack of which only what `compatibility.INTERFACE` lists can be used, replaced or not.

    Parameters
    ----------
    name
        For example ``ministack.services.s3``.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return original(self._name, name)
