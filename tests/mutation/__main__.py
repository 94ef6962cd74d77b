"""`make mutation`: a seeded sample of mutants of function/loupe against the unit tests, and the survivors.

Nothing in the working tree changes: a mutated module exists in memory only. Tests that start another Python run the
original there, so that what they alone check counts as a survivor.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import random
import time
from collections import Counter
from pathlib import Path

from tests.mutation import mutants, run
from tests.mutation.coverage_data import FOLDER, FUNCTION, ROOT, Coverage, measure
from tests.mutation.mutants import Mutant

SAMPLE, SEED, PROCESSES = 150, 20251125, 2
# Imported once, before the forks: most of the start of a test process.
HEAVY = (
    "numpy",
    "PIL.Image",
    "onnxruntime",
    "onnx",
    "hypothesis",
    "jsonschema",
    "pydantic",
    "_pytest.assertion.rewrite",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make mutation")
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    os.chdir(ROOT)
    coverage = measure()
    for name in HEAVY:
        importlib.import_module(name)
    begun = time.monotonic()
    drawn = sample(options.sample, options.seed)
    _require_unchanged_code_to_pass(drawn, coverage)
    results = _try_all(drawn, coverage)
    counts = Counter(result for _, result in results)
    killed = counts[run.KILLED] + counts[run.TIMED_OUT]
    seconds = time.monotonic() - begun
    print(f"{killed} of {len(results)} mutants killed (seed {options.seed}, {seconds:.0f} s): {dict(counts)}")


def _require_unchanged_code_to_pass(drawn: list[Mutant], coverage: Coverage) -> None:
    """A mutant counts as killed if its tests fail, so they have to pass without it, in the same kind of process."""
    unchanged = [dataclasses.replace(mutant, source=mutant.path.read_text(encoding="utf-8")) for mutant in drawn[::15]]
    for mutant, result in _try_all(unchanged, coverage):
        if result not in {run.SURVIVED, run.NOT_COVERED}:
            raise SystemExit(f"The tests of {mutant.path}:{mutant.line} fail without a mutant.")


def sample(size: int, seed: int) -> list[Mutant]:
    """Draw mutants from the whole package, every one with the same chance."""
    population = [(path, index) for path in sorted(FUNCTION.rglob("*.py")) for index in range(mutants.count(path))]
    drawn = random.Random(seed).sample(population, size)
    return [mutants.mutant(path, index) for path, index in sorted(drawn)]


def _try_all(drawn: list[Mutant], coverage: Coverage) -> list[tuple[Mutant, str]]:
    results: dict[int, str] = {}
    running: dict[int, int] = {}
    for number, mutant in enumerate(drawn):
        tests = coverage.tests(mutant.path, mutant.line)
        if not tests:
            results[number] = run.NOT_COVERED
            _report(mutant, run.NOT_COVERED)
            continue
        if len(running) >= PROCESSES:
            _wait(running, results, drawn)
        running[run.start(mutant, tests, _log(number))] = number
    while running:
        _wait(running, results, drawn)
    return [(mutant, results[number]) for number, mutant in enumerate(drawn)]


def _wait(running: dict[int, int], results: dict[int, str], drawn: list[Mutant]) -> None:
    child, status = os.wait()
    run.end(child)
    number = running.pop(child)
    results[number] = run.outcome(status)
    _report(drawn[number], results[number])


def _report(mutant: Mutant, result: str) -> None:
    print(f"{result}: {mutant.path.relative_to(ROOT)}:{mutant.line}", flush=True)
    if result in {run.SURVIVED, run.NOT_COVERED}:
        print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)


def _log(number: int) -> Path:
    return FOLDER / f"mutant-{number}.log"


if __name__ == "__main__":
    main()
