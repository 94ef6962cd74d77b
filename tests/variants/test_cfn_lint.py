"""cfn-lint finds nothing in the environments, the largest stack, and the delivery."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.infra.delivery import REGION, synthesize_delivery
from tests.infra.synthesis import ROOT, synthesize
from tests.infra.variants import ENVIRONMENTS, LARGEST


def test_cfn_lint_reports_nothing(tmp_path: Path) -> None:
    templates = {
        **{environment: synthesize(environment).template for environment in ENVIRONMENTS},
        "largest": synthesize("prod", LARGEST).template,
        **synthesize_delivery(tmp_path / "delivery"),
    }
    assert len(templates) > 7
    paths = []
    for name, template in templates.items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(template), encoding="utf-8")
    run = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "--regions", REGION, "--", *map(str, paths)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
