"""Whether a challenger can be tested beside the model that serves, and what a sample of such a test has."""

from __future__ import annotations

import json

from infra.cards import RUNTIME_MIB, ModelCard, outputs_conflict, session_mib
from infra.settings import SettingsError, ShadowSettings

# Of an event of the shadow function: below the 1 MB of an asynchronous invocation (`loupe.shadow.sample`).
MAX_EVENT_BYTES = 950_000
# Of each label: a number with 6 decimals, and quotes, colon and comma.
_SCORE_BYTES = 14


def check_challenger(champion: ModelCard, challenger: ModelCard, shadow: ShadowSettings) -> None:
    """Check a challenger.

    Raises
    ------
    SettingsError
        If its predictions could not be compared with the champion's, or it does not fit its function's memory.
    """
    if sentence := shadow.conflict(champion.name):
        raise SettingsError(sentence)
    if sentence := outputs_conflict(challenger, champion):
        raise SettingsError(
            f"shadow.challenger: {sentence}, so that their predictions cannot be compared. Test a model of the same "
            "labels and kind."
        )
    needed = RUNTIME_MIB + session_mib(challenger)
    if needed > shadow.memory_mib:
        raise SettingsError(
            f"shadow.memory_mib is {shadow.memory_mib}, and {challenger.name} needs about {needed} MiB: {RUNTIME_MIB} "
            f"for the runtime and an image, {session_mib(challenger)} for the model. Raise it."
        )


def takes_same_pixels(champion: ModelCard, challenger: ModelCard) -> bool:
    """Whether a sample may have the champion's pixels instead of the image: both models take the same, and they fit."""
    # Labels twice: with their scores, and as those of the prediction.
    labels = sum(2 * len(json.dumps(label)) + _SCORE_BYTES for label in champion.labels)
    return champion.pixels == challenger.pixels and champion.pixel_bytes * 4 / 3 + labels <= MAX_EVENT_BYTES
