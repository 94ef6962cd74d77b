"""How many environments a load needs: Little's law, the Poisson distribution of concurrency, and Erlang's B formula.

Requests that arrive independently (a Poisson process) and are each served at once make an M/G/infinity system: the
number in service is Poisson distributed with mean rate x duration, for any distribution of the duration (L. Kleinrock,
Queueing Systems I, 1975, section 3.4). Where at most n are served and the rest is rejected, which is what reserved
concurrency does, the share rejected is Erlang's B formula, again for any distribution of the duration.
"""

from __future__ import annotations

from math import exp, floor, lgamma, log, sqrt


def offered_load(rate: float, duration_ms: float) -> float:
    """Return the mean number in service, in erlangs, of requests a second and their mean duration: Little's law."""
    return rate * duration_ms / 1000


def erlang_b(servers: int, load: float) -> float:
    """Return the share of requests that find all servers busy and are rejected.

    Parameters
    ----------
    servers
        Environments that there are at most, 0 or more.
    load
        Erlangs.
    """
    if servers < 0 or load < 0:
        raise ValueError("servers and load must not be negative")
    if load == 0:
        return 0.0 if servers else 1.0
    rejected = 1.0
    for n in range(1, servers + 1):
        rejected = load * rejected / (n + load * rejected)
    return rejected


def servers_for(load: float, share: float) -> int:
    """Return the fewest servers, at least 1, that reject no more than this share of the requests."""
    _check_share(share)
    rejected, n = 1.0, 0
    while rejected > share or n == 0:
        n += 1
        rejected = load * rejected / (n + load * rejected)
    return n


def poisson_quantile(mean: float, probability: float) -> int:
    """Return the smallest n that a Poisson number with this mean does not exceed with this probability."""
    _check_share(probability)
    if mean < 0:
        raise ValueError("a mean must not be negative")
    if mean == 0:
        return 0
    # Start 26 standard deviations below the mean: less than 1e-146 is left out, and no term is too small for a double.
    reach = 26 * sqrt(mean)
    n = max(0, floor(mean - reach))
    total = term = exp(n * log(mean) - mean - lgamma(n + 1))
    while total < probability and n <= mean + reach + 40:
        n += 1
        term *= mean / n
        total += term
    return n


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"a probability must be above 0 and below 1 (it is {share})")
