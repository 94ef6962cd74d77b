"""The parameter with the weights of an experiment. Without the CDK, which operator tools need not import."""

from __future__ import annotations


def parameter_name(environment: str) -> str:
    """Return the name of the parameter with the weights."""
    return f"/loupe-{environment}/experiment-weights"
