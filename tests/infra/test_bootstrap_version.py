"""`tools.doctor` asks for the bootstrap version that the templates ask for."""

from __future__ import annotations

import json

from tests.infra.synthesis import Synthesized
from tools.doctor.account import BOOTSTRAP_VERSION, DEFAULT_QUALIFIER


def test_the_doctor_requires_the_bootstrap_version_of_the_templates(prod: Synthesized) -> None:
    (parameter,) = [item for item in prod.template["Parameters"].values() if "bootstrap" in json.dumps(item)]
    assert parameter["Default"] == f"/cdk-bootstrap/{DEFAULT_QUALIFIER}/version"
    rejected = [str(version) for version in range(1, BOOTSTRAP_VERSION)]
    rule = prod.template["Rules"]["CheckBootstrapVersion"]["Assertions"][0]
    assert rule["Assert"]["Fn::Not"][0]["Fn::Contains"][0] == rejected
