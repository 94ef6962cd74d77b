"""Fields of the saved queries and of the runbook's queries are those that function and gateway write."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.infra.runbook import entries
from tests.infra.synthesis import ROOT, Synthesized, synthesize
from tests.infra.variants import AUTH_MODES, OPTIONS

# CloudWatch Logs user guide, 'Supported logs and discovered fields' and 'CloudWatch Logs Insights query syntax'.
DISCOVERED = {"@timestamp", "@message", "@log", "@logStream", "@requestId", "@type", "@initDuration"}
SYNTAX = {
    "fields", "filter", "stats", "sort", "limit", "by", "desc", "and", "or", "in", "like", "ispresent", "count", "sum",
    "avg", "max", "min", "latest", "pct", "bin", "1m", "5m",
}  # fmt: skip
# WAF developer guide, 'Log fields for web ACL traffic'.
FIREWALL = {"terminatingRuleId", "httpRequest.clientIp", "httpRequest.country", "httpRequest.uri"}
# Of the shadow function's log; test_shadow_comparison.py holds it.
SHADOW = {"agreement", "challenger", "champion", "difference"}

# Of a request with an experiment whose weights could not be read; test_weights.py and test_assignment.py hold it.
EXPERIMENT = {"weights_failure"}
# Of the release functions' log; test_release.py holds it.
RELEASE = {"version", "finding"}


def fields_of(query: str) -> set[str]:
    """Return the fields that a query reads: its names without texts, patterns, aliases and syntax."""
    text = re.sub(r'"[^"]*"|/[^/]*/', " ", query)
    aliases = set(re.findall(r"\bas (\w+)", text))
    return set(re.findall(r"@?[A-Za-z_][\w.]*", text.replace(" as ", " "))) - aliases - SYNTAX - {"m"}


def _flat(record: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in record.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")


@pytest.fixture(scope="module")
def logged() -> set[str]:
    """Fields of the function's request lines for an image, a damaged one and a batch of both."""
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "brown").save(buffer, "JPEG")
    image = base64.b64encode(buffer.getvalue()).decode()
    events = [{"image": image}, {"image": image[:200]}, {"items": [{"image": image}, {"image": image[:200]}]}]
    code = (
        "import json, sys, types, handler\n"
        "context = types.SimpleNamespace(aws_request_id='r', get_remaining_time_in_millis=lambda: 9000)\n"
        "for line in sys.stdin:\n"
        "    handler.handler(json.loads(line), context)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(map(json.dumps, events)),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LOUPE_ENVIRONMENT": "prod", "LOUPE_MODEL": "hair-type"},
        cwd=ROOT,
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return {name for line in lines if "_aws" not in line for name in _flat(line)}


def accessed(environment: Synthesized) -> set[str]:
    """Fields of the API's access log."""
    return set(json.loads(environment.only("AWS::ApiGateway::Stage")["AccessLogSetting"]["Format"]))


def queries(environment: Synthesized) -> dict[str, dict[str, Any]]:
    definitions = environment.resources("AWS::Logs::QueryDefinition").values()
    return {item["Properties"]["Name"].partition("/")[2]: item["Properties"] for item in definitions}


def test_queries_read_fields_that_their_log_groups_have(prod: Synthesized, logged: set[str]) -> None:
    groups = prod.resources("AWS::Logs::LogGroup")
    assert len(queries(prod)) == 6
    for name, definition in queries(prod).items():
        fields = set(DISCOVERED)
        for group in definition["LogGroupNames"]:
            properties = groups[group["Ref"]]["Properties"]
            fields |= logged if properties.get("LogGroupName") == "/aws/lambda/loupe-prod" else accessed(prod)
        assert fields_of(definition["QueryString"]) <= fields, name


def test_a_field_that_no_function_writes_is_detected() -> None:
    query = 'filter no_such_field = "x" | stats count(*) as requests by code | sort requests desc'
    assert fields_of(query) == {"no_such_field", "code"}


@pytest.mark.parametrize(("mode", "field"), [("jwt", "caller"), ("cognito", "caller"), ("api-key", "api_key_id")])
def test_the_access_log_field_selects_one_caller(mode: str, field: str) -> None:
    built = synthesize("prod", AUTH_MODES[mode])
    assert field in fields_of(queries(built)["one caller"]["QueryString"]) <= accessed(built)


@pytest.mark.parametrize("name", [name for name, entry in entries().items() if entry.query])
def test_the_runbooks_queries_read_known_fields(name: str, prod: Synthesized, logged: set[str]) -> None:
    query = entries()[name].query
    assert query
    assert fields_of(query) <= DISCOVERED | FIREWALL | SHADOW | EXPERIMENT | RELEASE | logged | accessed(prod)


def test_saved_queries_can_be_turned_off() -> None:
    assert not queries(synthesize("dev", OPTIONS))
