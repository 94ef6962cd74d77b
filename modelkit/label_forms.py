"""The forms that label files have: lines, numbered lines, WordNet ids, JSON, YAML, Python text, CSV."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml
from loupe.card import LABEL_PATTERN

from modelkit.errors import ModelkitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NUMBERED = re.compile(r"(\d{1,6})(?:\s*[:=,;\t)]\s*|\.?\s+)(\S.*)")
_WORDNET = re.compile(r"(n\d{8})[\s,:]+(\S.*)")
_WORDNET_ID = re.compile(r"n\d{8}")
# Keys under which files of other tools keep their labels, and columns of CSV files, best first.
_KEYS = ("names", "id2label", "labels", "classes", "class_names", "label_names", "class_indices", "class_to_idx")
_NAME_COLUMNS = ("label", "name", "class_name", "class name", "display_name", "category", "class")
_NUMBER_COLUMNS = ("index", "id", "class_id", "class id", "class", "target", "idx", "number")
_LISTED = 6
_HINT = "Write one label a line, in output order."


def parse_labels(text: str, name: str) -> tuple[str, ...]:
    """Read labels in output order from a file's text; ``name`` is the file's, for its ending and for messages.

    Raises
    ------
    ModelkitError
        If the form is not known, or numbers are missing or there twice.
    """
    body = text.strip()
    suffix = name.lower().rpartition(".")[2]
    if not body:
        raise ModelkitError(f"{name} holds no label. {_HINT}")
    if suffix in {"csv", "tsv"} or _has_header(body):
        return _table(body, name)
    if suffix in {"yaml", "yml"} or re.search(r"^(names|id2label|class_names)\s*:", body, re.MULTILINE):
        return _structure(_yaml(body, name), name)
    literal = re.sub(r"^\s*\w+\s*=\s*(?=[\[{(])", "", body)
    if literal[0] in "[{(":
        return _structure(_literal(literal, name), name)
    return _lines([line.strip() for line in body.splitlines() if line.strip()])


def split_labels(text: str) -> tuple[str, ...]:
    """Split an option's labels at commas; a label with a comma stands in double quotes."""
    rows = list(csv.reader([text], skipinitialspace=True))
    return tuple(cell.strip() for cell in (rows[0] if rows else []))


def join_labels(labels: Sequence[str]) -> str:
    """Write labels as `split_labels` reads them."""
    quoted = ('"' + label.replace('"', '""') + '"' if set(',"') & set(label) else label for label in labels)
    return ", ".join(quoted)


def check_labels(labels: Sequence[str]) -> None:
    """Check labels against the rules of a card.

    Raises
    ------
    ModelkitError
        With the first entry that cannot be a label, or all duplicate labels, and what to do.
    """
    for index, label in enumerate(labels):
        if not LABEL_PATTERN.fullmatch(label):
            reason = "is empty" if not label else "must be 1 to 200 characters on one line"
            raise ModelkitError(f"Label {index} ({label[:60]!r}) {reason}.")
    places: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        places.setdefault(label, []).append(index)
    repeated = [f"{label!r} (outputs {', '.join(map(str, own))})" for label, own in places.items() if len(own) > 1]
    if repeated:
        more = f" and {len(repeated) - _LISTED} more" if len(repeated) > _LISTED else ""
        raise ModelkitError(
            f"Labels must differ from each other; given more than once: {', '.join(repeated[:_LISTED])}{more}. Give "
            "--number-duplicates, which makes 'crane (134)' and 'crane (517)' of two cranes, or rename them "
            "(ImageNet's are a bird and a machine)."
        )


def number_duplicates(labels: Sequence[str]) -> tuple[str, ...]:
    """Append the output's number to every duplicate label."""
    counts = Counter(labels)
    return tuple(f"{label} ({index})" if counts[label] > 1 else label for index, label in enumerate(labels))


def _lines(lines: list[str]) -> tuple[str, ...]:
    if all(len(line) > 1 and line[0] == line[-1] == '"' for line in lines):
        lines = [line[1:-1].replace('""', '"') for line in lines]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(numbered):
        ordered = _by_number((int(match[1]), match[2]) for match in numbered if match)
        # '0 rings', '1 ring', '2 rings' are labels, not numbers of labels.
        if ordered is not None and not (len(set(ordered)) < len(ordered) and len(set(lines)) == len(lines)):
            lines = list(ordered)
    wordnet = [_WORDNET.fullmatch(line) for line in lines]
    if all(wordnet):
        lines = [match[2] for match in wordnet if match]
    return tuple(line.strip() for line in lines)


def _by_number(pairs: Iterable[tuple[int, str]]) -> tuple[str, ...] | None:
    """Order labels by their numbers, which go from 0 or 1 on without a gap; None if they do not."""
    ordered = sorted(pairs)
    first = ordered[0][0] if ordered else -1
    if first not in (0, 1) or [number for number, _ in ordered] != list(range(first, first + len(ordered))):
        return None
    return tuple(label for _, label in ordered)


def _literal(text: str, name: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, name))
    except RecursionError:
        raise ModelkitError(f"{name} is nested too deep for a file of labels.") from None
    except ValueError as json_error:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            raise ModelkitError(f"{name} is neither JSON ({json_error}) nor Python's text of it. {_HINT}") from None


def _object(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    """Reject a duplicate key, of which JSON would keep only the last value."""
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise ModelkitError(f"{name} has {repeated[0]!r} more than once. {_HINT}")
    return dict(pairs)


def _yaml(text: str, name: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ModelkitError(f"{name} is not valid YAML: {reason[:200]}. {_HINT}") from None


def _structure(value: Any, name: str) -> tuple[str, ...]:
    """Labels of a list, of an object by number or by name, or of either under a usual key."""
    if isinstance(value, dict):
        for key in _KEYS:
            if isinstance(value.get(key), (dict, list)):
                return _structure(value[key], name)
        return _mapping(value, name)
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, dict) for item in value):
            return _records(list(value), name)
        return tuple(_text(item, name) for item in value)
    raise ModelkitError(f"{name} holds a single {type(value).__name__} and no list of labels. {_HINT}")


def _mapping(value: dict[Any, Any], name: str) -> tuple[str, ...]:
    numbers = [_number(key) for key in value]
    if all(number is not None for number in numbers):
        pairs = [(number or 0, _text(item, name)) for number, item in zip(numbers, value.values(), strict=True)]
    elif value and all(_number(item) is not None for item in value.values()):
        pairs = [(_number(item) or 0, str(key)) for key, item in value.items()]
    else:
        raise ModelkitError(f"{name} maps neither numbers to labels nor labels to numbers. {_HINT}")
    ordered = _by_number(pairs)
    if ordered is None:
        raise ModelkitError(_gap([number for number, _ in pairs], name))
    return ordered


def _records(rows: list[dict[Any, Any]], name: str) -> tuple[str, ...]:
    """Rows with a column of names, and perhaps one of numbers."""
    columns = {str(key).strip().lower(): key for key in rows[0]}
    number = next(
        (columns[key] for key in _NUMBER_COLUMNS if key in columns and _all_numbers(rows, columns[key])), None
    )
    label = next((columns[key] for key in _NAME_COLUMNS if key in columns and columns[key] != number), None)
    if label is None:
        raise ModelkitError(f"{name} has no column of labels ({', '.join(columns)[:200]}). {_HINT}")
    texts = [_text(row.get(label), name) for row in rows]
    if number is None:
        return tuple(texts)
    numbers = [_number(row.get(number)) or 0 for row in rows]
    ordered = _by_number(zip(numbers, texts, strict=True))
    if ordered is None:
        raise ModelkitError(_gap(numbers, name))
    return ordered


def _all_numbers(rows: list[dict[Any, Any]], column: Any) -> bool:
    return all(_number(row.get(column)) is not None for row in rows)


def _has_header(text: str) -> bool:
    """Whether the first line names a column of numbers and one of labels, as in CSV."""
    cells = [cell.strip().lower() for cell in re.split(r"[,;\t]", text.partition("\n")[0])]
    return len(cells) > 1 and bool({*cells} & {*_NAME_COLUMNS}) and bool({*cells} & {*_NUMBER_COLUMNS})


def _table(text: str, name: str) -> tuple[str, ...]:
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in "\t;" if mark in first), ",")
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True) if any(row)]
    head = [cell.strip().lower() for cell in rows[0]]
    if {*head} & {*_NAME_COLUMNS}:
        short = next((row for row in rows if len(row) != len(head)), None)
        if short:
            raise ModelkitError(
                f"{name}: the row {delimiter.join(short)[:80]!r} has {len(short)} cells, its header {len(head)}. A "
                "label with a comma stands in double quotes."
            )
        if len(rows) == 1:
            raise ModelkitError(f"{name} holds a header and no label.")
        return _records([dict(zip(head, row, strict=True)) for row in rows[1:]], name)
    if all(len(row) == 2 for row in rows):
        for number, label in ((0, 1), (1, 0)):
            if all(_number(row[number]) is not None for row in rows):
                return _mapping_of_rows(rows, number, label, name)
    if all(len(row) == 1 for row in rows):
        return tuple(row[0].strip() for row in rows)
    if len(rows) == 1:
        return tuple(cell.strip() for cell in rows[0])
    raise ModelkitError(f"{name} has several columns and no header that says which holds the labels (label, index).")


def _mapping_of_rows(rows: list[list[str]], number: int, label: int, name: str) -> tuple[str, ...]:
    numbers = [_number(row[number]) or 0 for row in rows]
    ordered = _by_number(zip(numbers, (row[label].strip() for row in rows), strict=True))
    if ordered is None:
        raise ModelkitError(_gap(numbers, name))
    return ordered


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    text = str(value).strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else None


def _text(value: Any, name: str) -> str:
    """One label; of a WordNet pair (``["n01440764", "tench"]``) the name."""
    if isinstance(value, (list, tuple)):
        names = [item for item in value if isinstance(item, str)]
        if len(names) == len(value) == 2 and _WORDNET_ID.fullmatch(names[0]):
            return names[1].strip()
        if len(names) == len(value) == 1:
            return names[0].strip()
        if len(names) == len(value) == 2 and re.fullmatch(r"[a-z]+\d+", names[0]):
            return names[1].strip()
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value).strip()
    shown = repr(value)
    hint = " (quote it: YAML reads yes, no, on and off as true or false)" if isinstance(value, bool) else ""
    raise ModelkitError(f"{name}: the entry {shown[:80]} is not a label{hint}. {_HINT}")


def _gap(numbers: list[int], name: str) -> str:
    if not numbers:
        return f"{name} holds no labels."
    counts = Counter(numbers)
    twice = next((number for number, count in counts.items() if count > 1), None)
    if twice is not None:
        return f"{name} gives number {twice} to more than one label."
    first = 0 if 0 in counts else 1
    missing = next(number for number in range(first, first + len(numbers) + 1) if number not in counts)
    return f"{name} numbers its labels, but number {missing} is missing ({len(numbers)} labels, up to {max(numbers)})."
