"""The settings of an experiment: the ``LOUPE_EXPERIMENT*`` variables.

A deployment without an experiment does not import this module.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loupe.experiment import (
    MAX_ARMS,
    MAX_WEIGHT,
    REFRESH_SECONDS_RANGE,
    STICKY_KEYS,
    Arm,
    ExperimentRules,
)
from loupe.variables import SettingsError

if TYPE_CHECKING:
    from loupe.variables import Variables

# `infra/settings/` accepts and rejects the same values: tests/variants/test_settings_equality.py.
_EXPERIMENT = re.compile(r"[a-z][a-z0-9-]{0,31}")
_ARM = re.compile(rf"(?P<name>{_EXPERIMENT.pattern})=(?P<model>[a-z0-9._-]+):(?P<weight>0|[1-9][0-9]{{0,4}})")
_HEADER = re.compile(r"[a-z][a-z0-9-]{0,63}")


def experiment_rules(read: Variables, models: tuple[str, ...]) -> ExperimentRules:
    """Parse the variables of an experiment between some of a deployment's ``models``.

    Raises
    ------
    loupe.variables.SettingsError
        For the first bad value.
    """
    name = read.text("LOUPE_EXPERIMENT", "")
    if not _EXPERIMENT.fullmatch(name):
        raise SettingsError(f"LOUPE_EXPERIMENT is {name!r} but must be a small letter, then small letters, digits, -.")
    items = read.items("LOUPE_EXPERIMENT_ARMS", "")
    parts = [_ARM.fullmatch(item) for item in items]
    arms = tuple(Arm(part["name"], part["model"], int(part["weight"])) for part in parts if part)
    if (
        not 2 <= len(arms) == len(items) <= MAX_ARMS
        or len({arm.name for arm in arms}) < len(arms)
        or not all(arm.model in models and arm.weight <= MAX_WEIGHT for arm in arms)
        or not any(arm.weight for arm in arms)
    ):
        raise SettingsError(
            f"LOUPE_EXPERIMENT_ARMS is {','.join(items)!r} but must hold 2 to {MAX_ARMS} arms such as a=hair-type:90, "
            f"each name once, with models of LOUPE_MODELS and weights from 0 to {MAX_WEIGHT}, one above 0."
        )
    key = read.choice("LOUPE_EXPERIMENT_KEY", STICKY_KEYS, "")
    header = read.text("LOUPE_EXPERIMENT_HEADER", "")
    if bool(header) != (key == "header") or (header and not _HEADER.fullmatch(header)):
        raise SettingsError(
            f"LOUPE_EXPERIMENT_HEADER is {header!r} but must be the name of a header in small letters, of the key "
            "'header' only."
        )
    return ExperimentRules(
        name,
        arms,
        key,
        header,
        override=read.choice("LOUPE_EXPERIMENT_OVERRIDE", ("true", "false"), "false") == "true",
        parameter=read.text("LOUPE_EXPERIMENT_PARAMETER", ""),
        refresh_seconds=read.integer("LOUPE_EXPERIMENT_REFRESH_SECONDS", 60, *REFRESH_SECONDS_RANGE),
    )
