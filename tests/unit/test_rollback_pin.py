"""`make rollback` on the command line: confirmation, the pin and lifting it, and what `make` hands on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from operations_fakes import DENIED, Bench, Cloud, Deploying

from infra.pins import Pin, PinError, pin_file, read_pin, reason_of, write_pin
from tools.rollback import __main__ as command

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path / "pins")


def test_production_is_confirmed(bench: Bench) -> None:
    cloud = Cloud()
    code, text = bench.run(cloud, production=True)
    assert (code, cloud.version, bench.pin) == (2, "8", None)
    assert (
        "This moves prod from version 8 to version 7. Go on? There is no terminal to ask: confirm with YES=1." in text
    )
    assert bench.run(cloud, "--yes", production=True)[0] == 0
    assert cloud.version == "7"


@pytest.mark.parametrize(("answer", "version"), [("y\n", "7"), ("n\n", "8")])
def test_a_terminal_gets_the_prompt(answer: str, version: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud()

    class Terminal:
        def isatty(self) -> bool:
            return True

    class System:
        stdin, stderr = Terminal(), command.sys.stderr

    monkeypatch.setattr(command, "sys", System)
    monkeypatch.setattr(command.typer, "confirm", lambda *_, **__: answer.startswith("y"))
    bench.run(cloud, production=True)
    assert cloud.version == version


def test_an_earlier_pin_is_restored_if_the_move_fails(bench: Bench) -> None:
    earlier = Pin("prod", "8", "9", "2026-11-20T00:00:00Z", "slow")
    write_pin(earlier, bench.pins)
    assert bench.run(Cloud(lambda__update_alias=DENIED))[0] == 2
    assert bench.pin == earlier


def test_lifting_removes_the_pin_and_leaves_the_alias(bench: Bench) -> None:
    write_pin(Pin("prod", "7", "8", "2026-11-26T02:00:00Z", "labels are swapped"), bench.pins)
    cloud = Cloud("7")
    code, text = bench.run(cloud, "--lift")
    assert (code, bench.pin, cloud.updates) == (0, None, [])
    assert "it was pinned to version 7 (in place of 8)" in text
    assert "The alias stays on version 7; the stack's newest is 8." in text
    assert bench.run(cloud, "--lift")[0] == 2


def test_after_a_rollback_the_first_gradual_release_goes_all_at_once(bench: Bench) -> None:
    """CodeDeploy rejects a release that begins at another version than the alias's."""
    cloud = Deploying(weights={"8": 0.1})
    steps = bench.run(cloud)[1]
    all_at_once = (
        """make deploy ENV=prod SETTINGS='{"release": {"strategy": "all_at_once"}}', then make deploy ENV=prod"""
    )
    assert all_at_once in steps
    assert all_at_once in bench.run(cloud, "--lift")[1]
    # Without CodeDeploy an ordinary deployment does.
    assert "all_at_once" not in bench.run(Cloud())[1]


def test_a_damaged_pin_is_rejected_and_can_be_lifted(bench: Bench) -> None:
    write_pin(Pin("prod", "7", "8", "2026-11-26T02:00:00Z", "x"), bench.pins)
    for damage in ("{", "[]", '{"version": "7"}', '{"version": "x", "replaced": "8", "since": "s", "reason": "r"}'):
        pin_file("prod", bench.pins).write_text(damage)
        with pytest.raises(PinError, match=r"correct it, or delete it"):
            read_pin("prod", bench.pins)
        assert bench.run(Cloud())[0] == 2
    assert bench.run(Cloud(), "--lift")[0] == 0
    assert bench.pin is None


def _made(*arguments: str, **variables: str) -> str:
    run = subprocess.run(
        ["make", "--no-print-directory", "-n", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return " ".join(run.stdout.replace("\\\n", " ").split())


def test_only_the_command_line_of_make_chooses_what_is_rolled_back() -> None:
    """CI systems set variables such as VERSION for purposes of their own."""
    assert _made("rollback", "ENV=prod", VERSION="9", YES="1", LIFT="1", FORCE="1").endswith(
        "-m tools.rollback --env prod"
    )
    assert _made("rollback", "ENV=prod", "VERSION=5", "REASON=labels are swapped", "YES=1", "LIFT=0").endswith(
        '-m tools.rollback --env prod --version "5" --reason "labels are swapped" --yes'
    )
    assert _made("logs", "ENV=prod", "REQUEST=a-1", "FOLLOW=1", CODE="x").endswith(
        '-m tools.logs --env prod --request "a-1" --follow'
    )


def test_only_the_command_line_of_make_deletes_versions_changes_weights_and_allows_errors() -> None:
    assert _made("prune", "ENV=prod", APPLY="1").endswith("-m tools.versions --env prod")
    assert _made("prune", "ENV=prod", "APPLY=0").endswith("-m tools.versions --env prod")
    assert _made("prune", "ENV=prod", "APPLY=1").endswith("-m tools.versions --env prod --apply")
    assert _made("weights", "ENV=prod", WEIGHTS="a=1").endswith("-m tools.experiment show prod")
    assert _made("weights", "ENV=prod", "WEIGHTS=a=1 b=2").endswith("-m tools.experiment set-weights prod a=1 b=2")
    assert _made("doctor", "ENV=prod", ALLOW="alarms", LOOKUP="1").endswith("-m tools.doctor --env prod")
    assert _made("doctor", "ENV=prod", "ALLOW=alarms tags", "LOOKUP=1").endswith(
        "-m tools.doctor --env prod --allow alarms --allow tags --lookup"
    )


def test_a_reason_is_one_printable_line() -> None:
    assert reason_of(" a\x1b[2J\nb ") == "a [2J b"
    assert reason_of(None) == reason_of(" \n") == "no reason was given"
    assert len(reason_of("x" * 5000)) == 500
