"""All sections of the status, in the order in which an operator asks; a section that fails is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tools.doctor.aws import CallError
from tools.operations.failures import sentence
from tools.operations.stack import Stack
from tools.operations.target import OperationError, Target
from tools.status import alarms, background, serving, traffic
from tools.status.items import Item, State

Section = Callable[[Target, Stack], Iterable[Item]]
SECTIONS: Mapping[str, Section] = {
    "stack": serving.stack_state,
    "alias": serving.alias_state,
    "deployment": serving.last_deployment,
    "health": serving.health,
    "alarms": alarms.alarms,
    "requests": traffic.traffic,
    "provisioned": serving.provisioned,
    "uploads": background.queues,
    "jobs": background.jobs,
    "cost": background.cost,
}


def examine(target: Target, stack: Stack) -> list[Item]:
    """Return the items of all sections.

    Raises
    ------
    CallError
        If the credentials are missing, expired or invalid: no section could be read.
    """
    items: list[Item] = []
    for name, section in SECTIONS.items():
        try:
            items += section(target, stack)
        except CallError as failure:
            if failure.no_identity:
                raise
            denied = {"denied": failure.operation} if failure.denied else {}
            items.append(Item(name, State.unknown, sentence(failure), values=denied))
        except OperationError as error:
            items.append(Item(name, State.wrong, str(error)))
    return items
