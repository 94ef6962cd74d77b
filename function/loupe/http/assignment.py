"""Assign HTTP requests to the arms of an experiment, by what `loupe.experiment.ExperimentRules` names as their key.

Nothing of a key is logged or returned. A deployment without an experiment does not import this module.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from loupe.errors import RequestInvalid
from loupe.experiment import Assignment, choose
from loupe.http.identity import api_key_id, pool_subject, source_address, token_owner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.experiment import ExperimentRules
    from loupe.http.envelope import HttpRequest
    from loupe.models import Models
    from loupe.service import ClassificationService
    from loupe.telemetry import Observation
    from loupe.weights import LiveWeights

# Request header that names an arm.
OVERRIDE_HEADER = "X-Experiment-Arm"
# Bits of an IPv6 address that a network keeps, while its hosts change the others (RFC 8981, temporary addresses).
_IPV6_NETWORK_BITS = 64


class Assigner:
    """Assigns the requests of one execution environment.

    Parameters
    ----------
    models
        Those of the arms among them.
    weights
        Of experiments whose weights change without a deployment.
    """

    def __init__(self, rules: ExperimentRules, models: Models, weights: LiveWeights | None = None) -> None:
        self._rules, self._models, self._live = rules, models, weights

    @property
    def request_headers(self) -> tuple[str, ...]:
        """Names of the request headers that are read, for CORS preflights."""
        header = (self._rules.header,) if self._rules.header else ()
        return (*header, OVERRIDE_HEADER) if self._rules.override else header

    def service_for(
        self, request: HttpRequest, context: Mapping[str, Any], observation: Observation
    ) -> ClassificationService | None:
        """Return the service of a request's arm; None if the content of its image decides.

        A batch has one arm, so that its response names one model: without another key, its body is the key.

        Parameters
        ----------
        context
            ``requestContext`` of the event.

        Raises
        ------
        loupe.errors.RequestInvalid
            If it names an arm that does not exist.
        """
        if self._live is not None:
            with observation.stages("weights"):
                observation.weights_failure = self._live.refresh()
        named = request.headers.get(OVERRIDE_HEADER.lower(), "").strip() if self._rules.override else ""
        if named:
            if named not in self._rules.weights:
                arms = ", ".join(self._rules.weights)
                raise RequestInvalid(f"{OVERRIDE_HEADER} names no arm of this experiment. There are: {arms}.")
            return self._service(Assignment(self._rules.name, named, "override"), observation)
        if key := self._key(request, context):
            return self._by(self._rules.key, key.encode("utf-8", "surrogatepass"), observation)
        if observation.route == "batch":
            return self._by("body", request.text.encode("utf-8", "surrogatepass"), observation)
        return None

    def service_by_image(self, image: bytes, observation: Observation) -> ClassificationService:
        """Return the service of the arm that an image's content chooses."""
        return self._by("image", image, observation)

    def _by(self, kind: str, key: bytes, observation: Observation) -> ClassificationService:
        weights = self._rules.weights if self._live is None else self._live.weights
        return self._service(Assignment(self._rules.name, choose(self._rules.name, weights, key), kind), observation)

    def _service(self, assignment: Assignment, observation: Observation) -> ClassificationService:
        observation.assignment = assignment
        with observation.stages("load"):
            service = self._models.service(self._rules.model_of(assignment.arm))
        observation.service_model = service.model
        return service

    def _key(self, request: HttpRequest, context: Mapping[str, Any]) -> str:
        """Return the key of a request's sender, or '' if it has none or the content is the key."""
        kind = self._rules.key
        if kind == "header":
            return request.headers.get(self._rules.header, "").strip()
        if kind == "api-key":
            return api_key_id(context)
        if kind == "token-subject":
            return token_owner(context) or pool_subject(context)
        if kind == "source-address":
            return _network(source_address(context))
        return ""


def _network(address: str) -> str:
    """Return an IPv4 address unchanged, and the network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Network((int(parsed), _IPV6_NETWORK_BITS), strict=False).network_address)
