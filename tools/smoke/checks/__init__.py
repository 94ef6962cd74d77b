"""The checks of a smoke test, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.smoke.checks import experiments, inputs, jobs, predictions, rejections, service
from tools.smoke.suite import Check

if TYPE_CHECKING:
    from tools.smoke.card import Card


def all_checks(card: Card) -> list[Check]:
    """Every check, with one for each golden case of the card."""
    return [
        Check("health", service.health),
        Check("model", service.model),
        Check("other models", service.other_models),
        Check("experiment", experiments.assigned),
        Check("openapi", service.openapi),
        Check("page", service.page),
        *(Check(f"golden: {case.path.name}", predictions.golden(case)) for case in card.golden),
        Check("scores", predictions.scores),
        Check("batch", predictions.batch),
        *(Check(f"media type: {name}", inputs.media_type(value)) for name, value in inputs.MEDIA_TYPES.items()),
        Check("base64 in JSON", inputs.base64_json),
        Check("form", inputs.form),
        Check("form without file name", inputs.form_without_file_name),
        Check("large body", inputs.large_body),
        Check("upload", inputs.upload),
        Check("credentials missing", rejections.credentials_missing),
        Check("credentials invalid", rejections.credentials_invalid),
        Check("not an image", rejections.not_an_image),
        Check("truncated image", rejections.truncated_image),
        Check("empty body", rejections.empty_body),
        Check("invalid JSON", rejections.invalid_json),
        Check("unknown route", rejections.unknown_route),
        Check("body too large", rejections.body_too_large),
        Check("jobs", jobs.listed),
        Check("unknown job", jobs.unknown),
        Check("rejected jobs", jobs.rejected),
        Check("job", jobs.completed),
        Check("jobs of other models", jobs.of_models),
        Check("CORS", service.cors),
        Check("throttling", service.throttling),
        Check("latency", predictions.latency),
    ]
