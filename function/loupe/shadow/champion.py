"""The classifier function's part of a shadow test: what `handler.py` needs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loupe.after_response import before_next_event
from loupe.shadow.classifier import SampledClassifier
from loupe.shadow.collector import Collector
from loupe.shadow.sender import Sender
from loupe.shadow.settings import ShadowSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loupe.classifier import Classifier
    from loupe.lambda_context import Context
    from loupe.shadow.sender import Destination


class Champion:
    """Samples a classifier's images and sends the samples after each response.

    Parameters
    ----------
    connect
        Returns the destination of samples; called with the first one.

    Attributes
    ----------
    after_response
        Whether samples are sent after the response. Without a runtime client that is known they are sent before it.
    """

    def __init__(
        self,
        settings: ShadowSettings,
        environment: str,
        model: str,
        connect: Callable[[], Destination],
    ) -> None:
        self._settings, self._collector = settings, Collector()
        dimensions = {"Environment": environment, "Champion": model, "Challenger": settings.challenger}
        self._sender = Sender(self._collector, connect, dimensions, large=bool(settings.bucket))
        self.after_response = before_next_event(self._sender.flush)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], environment: str, model: str) -> Champion:
        """Create it from the function's variables; raises `loupe.variables.SettingsError`.

        Parameters
        ----------
        variables
            Those of the process, not a copy: Lambda renews the credentials in them.
        """
        settings = ShadowSettings.from_environment(variables)

        def connect() -> Destination:
            # It imports TLS.
            from loupe.shadow.destination import AwsDestination

            return AwsDestination(settings, variables)

        return cls(settings, environment, model, connect)

    def sampled(self, classifier: Classifier) -> Classifier:
        """Return a classifier with the same predictions that takes samples."""
        return SampledClassifier(classifier, self._collector, self._settings.share, pixels=not self._settings.bucket)

    def handle(self, handler: Callable[[Any, Context], dict[str, Any]], event: Any, context: Context) -> dict[str, Any]:
        """Handle an event, and send its samples after the response, or before it without a runtime hook."""
        self._sender.begin(context.get_remaining_time_in_millis)
        result = handler(event, context)
        if not self.after_response:
            self._sender.flush()
        return result
