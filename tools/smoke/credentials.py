"""Credentials of requests: API key, bearer token, or AWS signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Credentials(Protocol):
    """Headers that authenticate one request."""

    name: str

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Return the authentication headers of a complete request."""

    def invalid(self) -> Credentials:
        """Return credentials of the same kind that no endpoint accepts."""


@dataclass(frozen=True)
class Anonymous:
    """No credentials."""

    name = "none"

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002
        return {}

    def invalid(self) -> Anonymous:
        return self


@dataclass(frozen=True)
class ApiKey:
    """An API Gateway API key."""

    value: str
    name = "api-key"

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002
        return {"x-api-key": self.value}

    def invalid(self) -> ApiKey:
        return ApiKey("smoke-test-invalid-key-" + "0" * 20)


@dataclass(frozen=True)
class BearerToken:
    """A token of a Cognito user pool or of an OpenID issuer."""

    value: str
    name = "token"

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002
        return {"Authorization": f"Bearer {self.value}"}

    def invalid(self) -> BearerToken:
        header, _, rest = self.value.partition(".")
        payload, _, signature = rest.partition(".")
        return BearerToken(f"{header}.{payload}.{signature[::-1]}")


@dataclass(frozen=True)
class AwsSignature:
    """An AWS identity that signs requests (Signature Version 4)."""

    access_key: str
    secret_key: str
    session_token: str | None
    region: str
    name = "iam"

    @classmethod
    def from_session(cls, region: str | None, profile: str | None = None) -> AwsSignature:
        """Take the credentials that the AWS CLI would use.

        Raises
        ------
        ValueError
            If there are none, or no region is known.
        """
        import boto3

        session = boto3.Session(profile_name=profile, region_name=region)
        credentials = session.get_credentials()
        if credentials is None:
            raise ValueError("There are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret.")
        if session.region_name is None:
            raise ValueError("The region of the endpoint is not known: pass --region.")
        frozen = credentials.get_frozen_credentials()
        return cls(frozen.access_key or "", frozen.secret_key or "", frozen.token, session.region_name)

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials as BotoCredentials

        request = AWSRequest(method, url, data=body, headers=dict(headers))
        identity = BotoCredentials(self.access_key, self.secret_key, self.session_token)
        SigV4Auth(identity, "execute-api", self.region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name not in headers}

    def invalid(self) -> AwsSignature:
        return AwsSignature(self.access_key, "smoke-test-invalid-secret", self.session_token, self.region)
