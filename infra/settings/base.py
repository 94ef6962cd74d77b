"""Base class and field types of the sections."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class SettingsError(ValueError):
    """Settings that cannot be deployed. The message has one line per error, with the key's path."""


class Section(BaseModel):
    """A part of an environment's settings: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def text(pattern: str, allowed: str) -> AfterValidator:
    """Return a validator whose message describes the allowed values; pydantic's own shows the pattern."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be {allowed} (it is {value!r})")
        return value

    return AfterValidator(check)


# Amazon ECR API reference, CreateRepository.
_WORD = r"[a-z0-9]+([._-][a-z0-9]+)*"
RepositoryName = Annotated[str, text(rf"(?=.{{2,256}}$)({_WORD}/)*{_WORD}", "the name of a repository in ECR")]
AccountId = Annotated[str, text(r"\d{12}", "the account's 12 digits, as text")]
Region = Annotated[str, text(r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1")]
Digest = Annotated[str, text(r"sha256:[0-9a-f]{64}", "an image's digest: sha256: and 64 hexadecimal digits")]


def mutable_tag(key: str, repository: str, tag: str) -> str:
    """Return the message that rejects a tag where a digest is required."""
    return (
        f"{key}.tag {tag!r} can be moved to another image, without a deployment: name {key}.digest instead "
        f"(aws ecr describe-images --repository-name {repository} --image-ids imageTag={tag} "
        "--query 'imageDetails[0].imageDigest')"
    )
