"""Settings of the function's container image."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import model_validator

from infra.settings.base import AccountId, Digest, RepositoryName, Section, text


class ImageSettings(Section):
    """Source of the container image: built by the CDK, or pushed to ECR by a pipeline."""

    source: Literal["asset", "ecr"] = "asset"
    repository: RepositoryName | None = None
    # Account of the repository, if it is not the stack's. The region is always the stack's: Lambda takes no other.
    account: AccountId | None = None
    # A tag can be moved to another image; only the local cloud, whose tags are digests, accepts one.
    digest: Digest | None = None
    tag: Annotated[str, text(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "a tag of an image")] | None = None
    # Base image in place of AWS's; it may contain model files in its working directory.
    base: str | None = None
    # Require the base image's digest in function/base-image.lock, which `make lock-base` writes.
    require_locked_base: bool = False

    @property
    def reference(self) -> str:
        """The digest, or the local cloud's tag."""
        return self.digest or self.tag or ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.source == "ecr" and not (self.repository and self.reference):
            raise ValueError("source 'ecr' needs repository and digest")
        if self.digest and self.tag:
            raise ValueError("digest and tag exclude each other: the digest names the image")
        if self.source == "asset" and (self.repository or self.account or self.reference):
            raise ValueError("repository, account, digest and tag belong to source 'ecr'")
        if self.source == "ecr" and self.base:
            raise ValueError("base belongs to source 'asset': an image from ECR is built already")
        return self
