"""Bytes of the files opened before the first response: what Lambda must fetch of a lazily loaded image."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks import content, subjects
from benchmarks.cold import Subject, all_subjects
from benchmarks.timing import PartResult, Row, Section
from benchmarks.workload import photo

GROUP = "Bytes of files opened before the first response"
TARGET = 0.5
_OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)".*= \d+$')
_SCRIPT = (
    "import json, sys, types, importlib\n"
    "module, payload = sys.argv[1:]\n"
    "context = types.SimpleNamespace(aws_request_id='b', get_remaining_time_in_millis=lambda: 9000)\n"
    "importlib.import_module(module).handler(json.load(open(payload)), context)\n"
)


def run(folder: Path, shipped: Path, course: Path) -> PartResult:
    """Trace both handlers and the floor, each with the dependencies of its image."""
    if shutil.which("strace") is None:
        return PartResult([Row(GROUP, "not measured: strace is not installed", None, TARGET, "most", "")])
    candidates, dependencies = all_subjects(folder, shipped, course), content.install(folder)
    layers = {"ours": dependencies.ours, "peer": dependencies.peer, "floor": dependencies.ours}
    payload = folder / "payload.json"
    payload.write_text(json.dumps({"image": base64.b64encode(photo(640, 480)).decode()}))
    traces = {name: _trace(candidates[name], layer, payload, folder) for name, layer in layers.items()}
    total = {name: sum(files.values()) for name, files in traces.items()}
    own = {
        name: sum(size for path, size in files.items() if _in(path, folder, shipped)) for name, files in traces.items()
    }

    def row(what: str, sizes: dict[str, int], name: str, target: float | None) -> Row:
        detail = f"{sizes[name] / 1e6:.1f} MB / {sizes['peer'] / 1e6:.1f} MB"
        return Row(GROUP, what, sizes[name] / sizes["peer"], target, "most" if target else "none", detail)

    rows = [
        row("against peer (a) with the course's model", total, "ours", TARGET),
        row("the floor (numpy, Pillow, ONNX Runtime, one run) against peer (a)", total, "floor", None),
        row("Loupe without the base image's files, which AWS caches for all functions", own, "ours", None),
        row("the floor without the base image's files", own, "floor", None),
    ]
    titles = {"ours": "Loupe", "peer": "peer (a)"}
    return PartResult(rows, [_section(title, traces[name]) for name, title in titles.items()])


def _section(title: str, files: Counter[str]) -> Section:
    lines = ["| MB | file |", "|---|---|"]
    lines += [f"| {size / 1e6:.2f} | {_short(path)} |" for path, size in files.most_common(12)]
    lines.append(f"| {sum(files.values()) / 1e6:.2f} | all {len(files)} |")
    return Section(f"Files opened before the first response: {title}", lines)


def _in(path: str, *folders: Path) -> bool:
    return any(Path(path).is_relative_to(folder.resolve()) for folder in folders)


def _short(path: str) -> str:
    """Return a path without the folders of this machine."""
    for mark in ("content-ours/", "content-peer/", "site-packages/", "/lib/python3", "/usr/lib/", "/lib/"):
        if mark in path:
            return ("lib/python3" if mark == "/lib/python3" else "") + path.split(mark, 1)[1]
    return Path(path).name


def _trace(subject: Subject, layer: Path, payload: Path, folder: Path) -> Counter[str]:
    log = folder / "strace.log"
    module = subject.command.partition(".")[0]
    variables = subjects.lambda_variables(subject.root, **subject.variables)
    subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=open,openat", "-o", str(log), sys.executable, "-c", _SCRIPT, module,
         str(payload)],
        cwd=subject.root, check=True, capture_output=True,
        env=variables | {"PYTHONPATH": f"{subject.root}{os.pathsep}{layer}"},
    )  # fmt: skip
    files: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if match := _OPENED.search(line):
            path = (subject.root / match.group(1)).resolve()
            if path.is_file() and path != payload and path.parts[1] not in {"proc", "sys", "dev"}:
                files[str(path)] = path.stat().st_size
    return files
