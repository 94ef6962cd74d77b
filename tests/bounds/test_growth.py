"""Every function that reads caller bytes does at most linear work, and no pattern backtracks."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import pkgutil
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import growth
import loupe
import pytest
from growth import AREAS, MEASURABLE_SECONDS, Reader, assert_linear, readers, repeated

PROJECT = Path(__file__).parents[2]
READERS = readers()
CASES = [
    pytest.param(reader, name, id=f"{reader.area}-{reader.covers[0].partition(':')[2]}-{name}")
    for reader in READERS
    for name in reader.families
]
AUTHORIZER = PROJECT / "authorizer"
PATTERN_BYTES = 32_768
# Public functions with a parameter of type bytes that read nothing of it, or that pass it on: reason.
EXEMPT = {
    "loupe.classifier:Classifier.classify": "passes the bytes on to loupe.image:decode",
    "loupe.classifier:Classifier.prepare": "passes the bytes on to loupe.image:decode",
    "loupe.batch:pixels_of": "calls media_type_of and declared_size",
    "loupe.cache:CachedService.key": "SHA-256 of the bytes, which takes linear time",
    "loupe.cache:PredictionCache.get": "a key of 32 bytes",
    "loupe.cache:PredictionCache.put": "the same",
    "loupe.decoders.avif:raw": "read by loupe.decoders.avif:decode",
    "loupe.decoders.heic:raw": "read by loupe.decoders.heic:decode",
    "loupe.decoders.isolated:decode_in_child": "passes the bytes on to a decoder",
    "loupe.bulk.store:ResultStore.write": "sends the function's own rows to S3, and reads nothing of them",
    "loupe.bulk.store:ResultStore.write_once": "the same",
    "loupe.experiment:choose": "SHA-256 of the key, which takes linear time; the rest reads its 32 bytes",
    "loupe.http.assignment:Assigner.service_by_image": "the same, of the image",
    "loupe.release.after:event": "base64 of an image of the project's own",
    "loupe.release.invoke:Target.invoke": "sends a payload of the project's own",
    "loupe.shadow.classifier:SampledClassifier.classify": "passes the bytes on to loupe.image:decode",
    "loupe.shadow.classifier:SampledClassifier.prepare": "the same",
    "loupe.shadow.sampling:is_sampled": "BLAKE2b of the last 64 KiB, which takes bounded time",
    "loupe.shadow.destination:AwsDestination.store": "sends an image that was decoded before, and reads nothing of it",
    "loupe.shadow.destination:AwsDestination.invoke": "sends the function's own event, of at most 1 MB",
    "loupe.shadow.signing:signed_headers": "SHA-256 of the body, which takes linear time",
    "loupe.icc:to_srgb": "LittleCMS reads the profile; bounded by Pillow's limits and by fuzzing",
}


@pytest.fixture(autouse=True)
def _quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(previous)


@pytest.mark.parametrize(("reader", "family"), CASES)
def test_work_grows_at_most_linearly_with_the_input(reader: Reader, family: str) -> None:
    assert_linear(
        reader.read,
        reader.families[family],
        seconds_per_mib=reader.seconds_per_mib,
        rejects=reader.rejects,
        largest=reader.largest,
        base_seconds=reader.base_seconds,
    )


def test_every_area_has_a_reader() -> None:
    assert {reader.area for reader in READERS} == set(AREAS)


def _functions_that_take_bytes() -> set[str]:
    """Every public function or method in function/ and authorizer/ with a parameter of type bytes."""
    names: set[str] = set()
    for folder, package in ((PROJECT / "function" / "loupe", "loupe."), (PROJECT / "authorizer", "")):
        for path in folder.rglob("*.py"):
            module = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            tree = ast.parse(path.read_text("utf-8"))
            classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
            for prefix, body in [("", tree.body), *((f"{node.name}.", node.body) for node in classes)]:
                for node in body:
                    if not isinstance(node, ast.FunctionDef) or f"{prefix}{node.name}".startswith("_"):
                        continue
                    if node.name.startswith("_"):
                        continue
                    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                    if any(
                        isinstance(item.annotation, ast.Name) and item.annotation.id == "bytes" for item in arguments
                    ):
                        names.add(f"{package}{module}:{prefix}{node.name}")
    return names


def test_every_function_that_takes_bytes_has_a_reader() -> None:
    covered = {name for reader in READERS for name in reader.covers} | set(EXEMPT)
    assert _functions_that_take_bytes() <= covered


def test_covered_functions_exist() -> None:
    for name in {name for reader in READERS for name in reader.covers} | set(EXEMPT):
        module, _, path = name.partition(":")
        value: Any = importlib.import_module(module) if module.startswith("loupe") else None
        for part in path.split(".") if value is not None else []:
            value = getattr(value, part)


def test_quadratic_work_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    # One disturbed measurement of the small input may hide the growth; the least of twelve does not.
    monkeypatch.setattr(growth, "REPEATS", 12)
    monkeypatch.setattr(growth, "ATTEMPTS", 1)
    with pytest.raises(AssertionError, match="faster than the input"):
        assert_linear(
            lambda text: [text.count(char) for char in text], repeated("ab"), seconds_per_mib=1000, largest=65_536
        )


def test_slow_work_is_caught() -> None:
    with pytest.raises(AssertionError, match="at most"):
        assert_linear(lambda text: [ord(char) for char in text * 500], repeated("ab"), seconds_per_mib=0.0)


def test_disturbed_measurement_is_repeated() -> None:
    seconds = iter([0.05] * 10)

    def read(_: str) -> None:
        end = time.thread_time() + next(seconds, 0.0)
        while time.thread_time() < end:
            pass

    assert_linear(read, repeated("ab"), seconds_per_mib=0.5)


def test_bound_follows_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(text: str) -> None:
        end = time.thread_time() + 40e-6 * len(text) / 4
        while time.thread_time() < end:
            pass

    with pytest.raises(AssertionError, match="at most"):
        assert_linear(read, repeated("ab"), seconds_per_mib=1.0)
    monkeypatch.setattr(growth, "_references", [growth._reference() / 100])
    assert_linear(read, repeated("ab"), seconds_per_mib=1.0)


def test_exception_that_rejects_nothing_is_no_result() -> None:
    with pytest.raises(ZeroDivisionError):
        assert_linear(lambda _: 1 // 0, repeated("ab"), seconds_per_mib=1, rejects=(ValueError,))


def _patterns(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _patterns(item)


def _compiled() -> dict[str, re.Pattern[Any]]:
    """Every pattern that a module of the function or the authorizer holds."""
    modules = [
        importlib.import_module(name)
        for _, name, _ in pkgutil.walk_packages(loupe.__path__, "loupe.")
        if not name.endswith("__main__")
    ]
    modules += [importlib.import_module(path.stem) for path in AUTHORIZER.glob("*.py") if path.stem != "authorize"]
    modules.append(importlib.import_module("growth_identity").AUTHORIZE)
    return _inline() | {
        f"{module.__name__}:{name}:{pattern.pattern[:40]!r}": pattern
        for module in modules
        for name, value in vars(module).items()
        for pattern in _patterns(value)
        if name.startswith("_") or name.isupper()
    }


def _inline() -> dict[str, re.Pattern[Any]]:
    """Every pattern that is a literal of a call such as ``re.fullmatch("...", text)``."""
    patterns = {}
    for folder in (PROJECT / "function", AUTHORIZER):
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "re"
                    and node.func.attr in ("fullmatch", "match", "search", "sub", "split", "findall", "finditer")
                    and isinstance(node.args[0], ast.Constant)
                ):
                    patterns[f"{path.stem}:{node.func.attr}:{node.args[0].value[:40]!r}"] = re.compile(
                        node.args[0].value
                    )
    return patterns


def _used(name: str) -> set[str]:
    """Methods of a pattern that its module calls; those of a pattern in a table are unknown, so all are assumed."""
    module, variable = name.split(":")[:2]
    if module not in sys.modules:  # a literal of a call
        return {variable}
    source = inspect.getsource(sys.modules[module])
    return set(re.findall(rf"{variable}\.(\w+)", source)) or {"fullmatch", "search"}


def _samples(tree: Any) -> Iterator[str]:
    """A few characters from every part of a pattern: literals, and one from each range of each class."""
    for operation, argument in tree:
        if operation is _constants.LITERAL:
            yield chr(argument)
        elif operation is _constants.RANGE:
            yield chr(argument[0])
        elif operation is _constants.IN:
            yield from _samples(argument)
        elif operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
            yield from _samples(argument[2])
        elif operation is _constants.SUBPATTERN:
            yield from _samples(argument[3])
        elif operation in (_constants.ASSERT, _constants.ASSERT_NOT):
            yield from _samples(argument[1])
        elif operation is _constants.ATOMIC_GROUP:
            yield from _samples(argument)
        elif operation is _constants.BRANCH:
            for branch in argument[1]:
                yield "".join(_samples(branch))[:8] or "a"
                yield from _samples(branch)


def test_patterns_are_collected() -> None:
    names = " ".join(_compiled())
    for word in ("loupe.redaction:_RULES", "loupe.sources.s3:INVALID_IN_KEYS", "issuer:", "json_fields:fullmatch"):
        assert word in names, word


@pytest.mark.parametrize("name", PATTERNS := _compiled())
def test_no_pattern_backtracks(name: str) -> None:
    """Repeat every part, and every pair of parts, that a pattern is made of, before what does not match."""
    pattern = PATTERNS[name]
    binary = isinstance(pattern.pattern, bytes)
    source = pattern.pattern.decode("latin-1") if binary else pattern.pattern
    parts = sorted({*_samples(_parser.parse(source)), "a", " ", "-"})
    parts += [first + second for first in parts[:12] for second in parts[:12] if first != second]

    used = _used(name)

    def run(text: str) -> None:
        value = text.encode("latin-1", "replace") if binary else text
        for method in used & {"match", "fullmatch"}:
            getattr(pattern, method)(value)
        if used - {"match", "fullmatch"}:
            pattern.sub(pattern.pattern[:0], value)

    for part in parts:
        for before in ("", parts[0]):
            make = repeated(part, before, "\x00!")
            start = time.thread_time()
            run(make(PATTERN_BYTES))
            # Quadratic work would be a billion steps here; what is quick needs no second look.
            if time.thread_time() - start > MEASURABLE_SECONDS:
                assert_linear(run, make, seconds_per_mib=4.0, largest=PATTERN_BYTES)
