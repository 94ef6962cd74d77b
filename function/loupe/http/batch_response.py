"""The body of a batch's response, held within the 6 MiB that a Lambda function may return.

Imported by requests that classify a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loupe.errors import Problem, ResultTooLarge
from loupe.http import response

if TYPE_CHECKING:
    from loupe.prediction import ModelInfo, Prediction
    from loupe.service import Outcome

# A Lambda function returns at most 6 MiB (AWS Lambda quotas); the rest is for the envelope and its escapes.
MAX_RESULTS_BYTES = 4_500_000
# Scores that are kept until the response is written, 80 bytes each. 4.5 MB hold no more: one takes at least 8 bytes.
MAX_SCORES = 562_500


class ScoreBudget:
    """Cuts predictions to the scores that the response has; ``keep`` of `loupe.service.Service.classify_many`.

    Parameters
    ----------
    top
        How many scores of each item the response has; None for all.
    """

    def __init__(self, top: int | None) -> None:
        self._top, self._scores = top, 0

    def __call__(self, _index: int, prediction: Prediction) -> Outcome:
        scores = prediction.scores[: self._top]
        self._scores += len(scores) + len(prediction.labels or ())
        return _too_large() if self._scores > MAX_SCORES else prediction._replace(scores=scores)


def batch_body(outcomes: list[Outcome], top: int | None, model: ModelInfo, request_id: str) -> dict[str, Any]:
    """Return the body. Results beyond `MAX_RESULTS_BYTES` become problems, in ``outcomes`` too, which is logged."""
    results, size = [], 0
    for index, outcome in enumerate(outcomes):
        if not isinstance(outcome, Problem):
            result = response.scores(outcome, top)
            size += len(response.compact(result))
            if size <= MAX_RESULTS_BYTES:
                results.append({"index": index, "result": result})
                continue
            outcome = outcomes[index] = _too_large()
        results.append({"index": index, "error": outcome.to_dict(request_id)})
    return {"results": results, "model": response.model(model), "request_id": request_id}


def _too_large() -> ResultTooLarge:
    return ResultTooLarge("The batch's response has become too large. Request fewer scores with top.")
