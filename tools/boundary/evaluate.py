"""Whether a policy document allows an action, as IAM evaluates one document.

An explicit denial wins, and what no statement allows is denied (IAM user guide, 'Policy evaluation logic'). Covered are
the elements and operators of `infra.boundary`; others are rejected rather than ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

_OPERATORS = ("StringEquals", "ArnEquals")
_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "NotResource", "Condition"}


def allows(document: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str] | None = None) -> bool:
    """Return whether an action on a resource is allowed.

    Parameters
    ----------
    context
        Condition keys of the request and their values. A condition on a missing key is not met.

    Raises
    ------
    ValueError
        For an element or a condition operator that this function does not evaluate.
    """
    applying = [
        statement["Effect"]
        for statement in document["Statement"]
        if _applies(statement, action, resource, context or {})
    ]
    return "Allow" in applying and "Deny" not in applying


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    if unknown := set(statement) - _ELEMENTS:
        raise ValueError(f"The element {min(unknown)} is not evaluated here.")
    # Actions are compared without regard to case, resources with it.
    if not any(_matches(pattern.lower(), action.lower()) for pattern in _list(statement["Action"])):
        return False
    if "NotResource" in statement:
        named = not any(_matches(pattern, resource) for pattern in _list(statement["NotResource"]))
    else:
        named = any(_matches(pattern, resource) for pattern in _list(statement["Resource"]))
    return named and all(
        _holds(operator, key, values, context)
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def _holds(operator: str, key: str, values: Any, context: Mapping[str, str]) -> bool:
    if operator not in _OPERATORS:
        raise ValueError(f"The condition operator {operator} is not evaluated here.")
    return context.get(key) in _list(values)


def _matches(pattern: str, value: str) -> bool:
    return _expression(pattern).fullmatch(value) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = ("[^\n]*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.compile("".join(parts))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
