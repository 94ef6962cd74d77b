"""Mutants of Python source: one changed operator, constant, condition or return value each.

mutmut and cosmic-ray were considered: neither draws a seeded sample, and both start pytest anew for every mutant.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
# Without `|`, which is mostly a union of types.
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_NOT_EXECUTED = {"annotation", "returns", "decorator_list", "type_params", "format_spec"}
# From the root to a node: field names and list positions.
_Place = tuple[str | int, ...]
_Change = Callable[[Any], ast.AST]


@dataclass(frozen=True)
class Mutant:
    """One change to one file: the line, the changed code before and after, and the whole source."""

    path: Path
    line: int
    before: str
    after: str
    source: str


def count(path: Path) -> int:
    """Number of mutants that a file has."""
    return sum(1 for _ in _changes(_parse(path), ()))


def mutant(path: Path, index: int) -> Mutant:
    """The mutant of a file at a position from 0 to its `count`; the same for the same source."""
    tree = _parse(path)
    place, change = list(_changes(tree, ()))[index]
    target = _node(tree, place)
    before = ast.unparse(target)
    line = getattr(target, "lineno", 1)
    changed = change(target)
    *parents, last = place
    holder = _node(tree, tuple(parents))
    if isinstance(holder, list):
        holder[int(last)] = changed
    else:
        setattr(holder, str(last), changed)
    ast.fix_missing_locations(tree)
    return Mutant(path, line, before, ast.unparse(changed), ast.unparse(tree))


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _changes(node: ast.AST, place: _Place) -> Iterator[tuple[_Place, _Change]]:
    if change := _change(node):
        yield place, change
    for name, value in ast.iter_fields(node):
        if name in _NOT_EXECUTED or (_is_type_checking(node) and name in {"test", "body"}):
            continue
        here = (*place, name)
        if name == "test" and not isinstance(value, ast.Compare | ast.UnaryOp | ast.BoolOp):
            yield here, lambda test: ast.UnaryOp(ast.Not(), test)
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for position, child in children:
            if isinstance(child, ast.AST):
                yield from _changes(child, here if position is None else (*here, position))


def _change(node: ast.AST) -> _Change | None:
    match node:
        case ast.Compare(ops=[first, *_]) if type(first) in _COMPARISONS:
            return lambda it: ast.Compare(it.left, [_COMPARISONS[type(it.ops[0])](), *it.ops[1:]], it.comparators)
        case ast.BoolOp():
            return lambda it: ast.BoolOp(ast.Or() if isinstance(it.op, ast.And) else ast.And(), it.values)
        case ast.BinOp(op=sign) if type(sign) in _ARITHMETIC and not _is_text(node):
            return lambda it: ast.BinOp(it.left, _ARITHMETIC[type(it.op)](), it.right)
        case ast.Constant(value=bool()):
            return lambda it: ast.Constant(not it.value)
        case ast.Constant(value=int() | float()):
            return lambda it: ast.Constant(it.value + 1)
        case ast.UnaryOp(op=ast.Not()):
            return lambda it: it.operand
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            return lambda _: ast.Return(ast.Constant(None))
    return None


def _is_text(node: ast.BinOp) -> bool:
    """Whether an operand is a string or bytes: the mutant would be a TypeError, which any test detects."""
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str | bytes))
        for side in (node.left, node.right)
    )


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _node(root: ast.AST, place: _Place) -> Any:
    node: Any = root
    for step in place:
        node = node[step] if isinstance(node, list) else getattr(node, str(step))
    return node
