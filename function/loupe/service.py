"""Classify one image or many: the core that every entry point calls.

HTTP requests, direct invocations, batches of bulk jobs and uploads are classified by the same `Service`. It knows no
HTTP, no Lambda event and no network policy: it takes bytes or a reader of bytes, and a deadline.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from loupe.errors import DeadlineExceeded, Problem
from loupe.prediction import Prediction
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol, TypeAlias

    from loupe.card import Card
    from loupe.classifier import Classifier
    from loupe.image import Limits
    from loupe.prediction import ModelInfo

    class ImageReader(Protocol):
        """Reads one image; called from several threads by `Service.classify_many`."""

        def __call__(self, *, seconds: float | None) -> bytes | Prediction:
            """Return the image's bytes within ``seconds`` (None: its own limit), or raise a `loupe.errors.Problem`.

            A reader may return a `Prediction` instead of bytes, for example from a cache: the image is then done.
            """

    # An image: its bytes, or a reader of them. An item of a batch may also be the problem of an earlier step.
    Image: TypeAlias = bytes | ImageReader
    Item: TypeAlias = bytes | ImageReader | Problem
    Outcome: TypeAlias = Prediction | Problem
    # Returns what the caller keeps of the prediction with this index, or the problem that replaces it.
    Keep: TypeAlias = Callable[[int, Prediction], Outcome]

    class ClassificationService(Protocol):
        """Interface of a service: `Service`, or a wrapper around one or several, such as the cache."""

        @property
        def card(self) -> Card: ...
        @property
        def limits(self) -> Limits: ...
        @property
        def model(self) -> ModelInfo: ...
        def classify(
            self, image: Image, *, deadline: float | None = None, stages: Stages | None = None
        ) -> Prediction: ...
        def classify_many(
            self,
            images: Sequence[Item],
            *,
            deadline: float,
            stages: Stages | None = None,
            keep: Keep | None = None,
        ) -> BatchResult: ...


class BatchResult(NamedTuple):
    """Result of `Service.classify_many`.

    Attributes
    ----------
    outcomes
        One for each image, in the images' order.
    unfinished_decoders
        Decoders that were still running at the deadline. A thread cannot be stopped: an entry point that serves further
        events has to replace its process (`loupe.restart`).
    """

    outcomes: list[Outcome]
    unfinished_decoders: int = 0


class Service:
    """Classifies images with one model; safe to use from several threads.

    Every `Prediction` names the model that made it (``prediction.model``), so that results, logs and metrics of several
    models can be compared. A wrapper has the same attributes and methods (`ClassificationService`), so callers do not
    change. An example is the prediction cache (`loupe.cache`): it calls `classify` only for images that it does not
    hold. In `classify_many` it replaces each image by a reader that returns the cached `Prediction`, and stores new
    predictions in ``keep``.

    Examples
    --------
    >>> service = Service(Classifier.load(models / "hair-type"))
    >>> service.classify(path.read_bytes()).label
    'curly'
    >>> images = [data, partial(sources.read, Url("https://example.com/missing.jpg"))]
    >>> service.classify_many(images, deadline=time.monotonic() + 10).outcomes
    [Prediction(...), UrlUnreachable(...)]
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @property
    def card(self) -> Card:
        """The card of the model."""
        return self._classifier.card

    @property
    def limits(self) -> Limits:
        """Upper bounds on one image."""
        return self._classifier.limits

    @property
    def model(self) -> ModelInfo:
        """The model that is logged for a request without a prediction (a problem, a batch as a whole)."""
        return self._classifier.info

    def classify(self, image: Image, *, deadline: float | None = None, stages: Stages | None = None) -> Prediction:
        """Classify one image.

        Parameters
        ----------
        image
            Bytes of a file in one of ``limits.formats``, or a reader that returns them.
        deadline
            Monotonic seconds after which reading and decoding do not begin; None for no deadline.
        stages
            Takes the milliseconds of ``source`` (of a reader), ``decode``, ``tensor`` and ``model``.

        Raises
        ------
        loupe.errors.Problem
            If the image cannot be read or decoded, the model fails, or (`DeadlineExceeded`) there is no time left.
        """
        stages = stages or Stages()
        if not isinstance(image, bytes):
            with stages("source"):
                content = read_image(image, deadline)
            if isinstance(content, Prediction):
                return content
            image = content
        seconds_left(deadline)
        return self._classifier.classify(image, stages)

    def classify_many(
        self,
        images: Sequence[Item],
        *,
        deadline: float,
        stages: Stages | None = None,
        keep: Keep | None = None,
    ) -> BatchResult:
        """Classify several images: read and decoded in parallel, run through the model together.

        Memory is bounded for any number of images (`loupe.batch`); ``keep`` decides what is kept of predictions.

        Parameters
        ----------
        images
            For each image its bytes or reader. A `Problem` in place of an image is its outcome.
        deadline
            Monotonic seconds (finite) at which the call returns. The outcome of images that were not processed by then
            is `DeadlineExceeded`.
        stages
            Takes the milliseconds of all images together, by stage.
        keep
            Called in the calling thread with the index and the prediction as soon as an image is classified, in order
            of completion. Returns what is kept: a smaller prediction, or a problem.

        Returns
        -------
        BatchResult
            Nothing is raised for a single image: unexpected exceptions are `loupe.errors.InternalError` outcomes.
        """
        from loupe.batch import Batch

        batch = Batch(self._classifier, stages or Stages(), deadline, keep)
        return BatchResult(batch.run(images), batch.unfinished_decoders)


def read_image(reader: ImageReader, deadline: float | None) -> bytes | Prediction:
    """Call a reader with the seconds that are left.

    Raises
    ------
    loupe.errors.Problem
        What the reader raised; `DeadlineExceeded` where the deadline cut the reader off.
    """
    try:
        return reader(seconds=seconds_left(deadline))
    except Problem:
        # The source had less time than its settings allow, so the cause is the deadline.
        seconds_left(deadline)
        raise


def seconds_left(deadline: float | None) -> float | None:
    """Return the seconds until a deadline (monotonic), or None if there is no deadline.

    Raises
    ------
    loupe.errors.DeadlineExceeded
        If it has passed.
    """
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise too_late()
    return left


def too_late() -> DeadlineExceeded:
    """Return the problem of an image that was not processed before the deadline."""
    return DeadlineExceeded("This item was not processed in time: send it again.")
