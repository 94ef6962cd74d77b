"""Bytes of the files that are opened up to the first answer: what Lambda's lazily loaded image has to fetch."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks import subjects
from benchmarks.cold import Subject, all_subjects
from benchmarks.timing import Row
from benchmarks.workload import photo

TARGET = 0.5
_OPENED = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)".*= \d+$')
_SCRIPT = (
    "import json, sys, types, importlib\n"
    "module, payload = sys.argv[1:]\n"
    "context = types.SimpleNamespace(aws_request_id='b', get_remaining_time_in_millis=lambda: 9000)\n"
    "importlib.import_module(module).handler(json.load(open(payload)), context)\n"
)


def run(folder: Path, shipped: Path, course: Path) -> tuple[list[Row], dict[str, Counter[str]]]:
    """Trace both handlers; the second value has bytes by file for each."""
    if shutil.which("strace") is None:
        return [Row("Bytes opened", "not measured: strace is not installed", None, TARGET, "most", "")], {}
    candidates = all_subjects(folder, shipped, course)
    payload = folder / "payload.json"
    payload.write_text(json.dumps({"image": base64.b64encode(photo(640, 480)).decode()}))
    found = {name: _trace(candidates[name], payload, folder) for name in ("ours", "peer")}
    total = {name: sum(files.values()) for name, files in found.items()}
    row = Row(
        "Bytes of files opened up to the first answer",
        "against peer (a) with the course's model",
        total["ours"] / total["peer"],
        TARGET,
        "most",
        f"{total['ours'] / 1e6:.1f} MB / {total['peer'] / 1e6:.1f} MB",
    )
    return [row], found


def _trace(subject: Subject, payload: Path, folder: Path) -> Counter[str]:
    log = folder / "strace.log"
    module = subject.command.partition(".")[0]
    subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=open,openat", "-o", str(log), sys.executable, "-c", _SCRIPT, module,
         str(payload)],
        cwd=subject.root, check=True, capture_output=True,
        env=subjects.lambda_variables(subject.root, **subject.variables),
    )  # fmt: skip
    files: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if match := _OPENED.search(line):
            path = (subject.root / match.group(1)).resolve()
            if path.is_file() and path != payload and path.parts[1] not in {"proc", "sys", "dev"}:
                files[str(path)] = path.stat().st_size
    return files
