"""Settings of authorization: API keys, AWS identities, a Cognito user pool, an OpenID issuer, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from infra import token_owners
from infra.settings.base import AccountId, Digest, RepositoryName, Section, mutable_tag, text

Mode = Literal["api-key", "iam", "cognito", "jwt", "none"]
# Environments that may have no authorization: a developer's machine or experiment.
PRIVATE_ENVIRONMENTS = ("local", "dev")
_NAME_OR_ARN = r"(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}"
# Each part begins with a letter, so that names stay distinct without their hyphens.
ClientName = Annotated[
    str, text(r"(?=.{1,32}$)[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*", "words of small letters and digits, joined by -")
]
Scope = Annotated[str, text(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}", 'a scope: visible characters but " and \\')]

Word = Annotated[str, text(r"[\x21-\x7e]{1,256}", "a word of visible characters")]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
ClaimName = Annotated[str, text(r"[\x20-\x7e]{1,256}", "the name of a claim")]
ClaimText = Annotated[str, text(r"[^\x00-\x1f\x7f]{1,256}", "a text of 1 to 256 characters")]
ClaimValue = bool | int | Annotated[float, Field(allow_inf_nan=False)] | ClaimText
# Plain HTTP is for the local cloud's test issuer.
Url = Annotated[
    str, text(r"(https://[A-Za-z0-9.-]+(:\d+)?|http://(127\.0\.0\.1|localhost):\d+)(/[!-~]*)?", "an https address")
]


class QuotaSettings(Section):
    """Requests of a key per day, week or month."""

    requests: Annotated[int, Field(ge=1)]
    period: Literal["day", "week", "month"] = "day"


class ClientSettings(Section):
    """One client: its API key with rate limit, burst and quota."""

    # Over all methods. Default: the stage's, `api.rate_limit` and `api.burst_limit`.
    rate: Annotated[float, Field(gt=0)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None
    quota: QuotaSettings | None = None
    # Name or ARN of a secret whose value is the key. Default: the stack creates one with a random value.
    secret: Annotated[str, text(_NAME_OR_ARN, "the name or ARN of a secret in Secrets Manager")] | None = None
    # Increment it for a new key: CloudFormation reads a secret only when it creates the resource that refers to it.
    key_version: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True)
class ClientPlan:
    """A client with its effective limits: its own, or the stage's."""

    rate: float
    burst: int
    quota: QuotaSettings | None
    secret: str | None
    key_version: int


class CognitoSettings(Section):
    """A user pool: given by its ARN, or created with a machine client (client credentials grant)."""

    user_pool_arn: (
        Annotated[
            str,
            text(
                r"arn:aws[a-z-]*:cognito-idp:[a-z0-9-]+:\d{12}:userpool/[A-Za-z0-9-]+_[A-Za-z0-9]+",
                "the ARN of a user pool",
            ),
        ]
        | None
    ) = None
    # A token needs one of them. A created pool also gets these scopes: `identifier/name`.
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=50)] = ("loupe/classify",)
    # Token endpoint of a created pool: https://<prefix>.auth.<region>.amazoncognito.com.
    domain_prefix: (
        Annotated[
            str, text(r"(?!.*(aws|amazon|cognito))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "small letters, digits and -")
        ]
        | None
    ) = None
    token_minutes: Annotated[int, Field(ge=5, le=1440)] = 60

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.user_pool_arn is not None:
            extra = sorted({"domain_prefix", "token_minutes"} & self.model_fields_set)
            if extra:
                raise ValueError(f"{extra[0]} is of a pool that is made; user_pool_arn names one that has its own")
        elif len({scope.partition("/")[0] for scope in self.scopes}) > 1 or not all(map(_two_parts, self.scopes)):
            raise ValueError("scopes of a pool that is made are identifier/name, with the same identifier in all")
        return self


def _two_parts(scope: str) -> bool:
    identifier, _, name = scope.partition("/")
    return bool(identifier and name and "/" not in name)


class IamSettings(Section):
    """AWS identities. Those of the account itself need no entry: their IAM policies authorize them."""

    # ARNs of principals of other accounts: added to the API's resource policy.
    callers: tuple[
        Annotated[
            str,
            text(
                r"arn:aws[a-z-]*:iam::\d{12}:(root|(user|role)/[A-Za-z0-9+=,.@_/-]+)",
                "the ARN of a user, of a role, or arn:aws:iam::<account>:root",
            ),
        ],
        ...,
    ] = ()


class AuthorizerImage(Section):
    """The authorizer's image, if a pipeline pushes it to ECR; by default it is built from source."""

    repository: RepositoryName
    # Account of the repository, if it is not the stack's.
    account: AccountId | None = None
    # By digest; a tag only in the local cloud, whose tags are digests.
    digest: Digest | None = None
    tag: Annotated[str, Field(min_length=1)] | None = None

    @property
    def reference(self) -> str:
        """The digest, or the local cloud's tag."""
        return self.digest or self.tag or ""

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if bool(self.digest) == bool(self.tag):
            raise ValueError("needs digest, which names the image")
        return self


class JwtSettings(Section):
    """Tokens of an OpenID issuer, verified by the JWT authorizer."""

    # Exactly as in the tokens' `iss`, including a slash at the end.
    issuer: Url
    # A token must have one of them in `aud`; tokens for another audience are rejected.
    audience: Annotated[tuple[Word, ...], Field(min_length=1, max_length=20)]
    # A token must have all of them, in `scope` or `scp`.
    scopes: Annotated[tuple[Scope, ...], Field(max_length=20)] = ()
    # Claims that must have a value of the same type, or hold it in a list: {"tenant": "acme", "email_verified": true}.
    # A text may end with * behind an owner: {"sub": "repo:my-org/my-repo:*"}.
    claims: Annotated[dict[ClaimName, ClaimValue], Field(max_length=20)] = Field(default_factory=dict)
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    # URL of the keys. Default: that of the issuer's discovery document (/.well-known/openid-configuration).
    jwks_uri: Url | None = None
    # How long the function caches the issuer's keys, and the minimum interval of fetches for unknown key IDs.
    cache_seconds: Annotated[int, Field(ge=60, le=86_400)] = 600
    refetch_seconds: Annotated[int, Field(ge=5, le=3_600)] = 30
    # Tolerated clock skew of the issuer.
    leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 30
    # How long API Gateway caches a result, even if the token expires meanwhile; 0 disables the cache.
    result_seconds: Annotated[int, Field(ge=0, le=3_600)] = 60
    image: AuthorizerImage | None = None

    @model_validator(mode="after")
    def _owner_named(self) -> Self:
        sentence = token_owners.conflict(self.issuer, self.claims, self.scopes)
        if sentence is not None:
            raise ValueError(sentence)
        return self

    @property
    def plain_http(self) -> bool:
        return any(url is not None and url.startswith("http:") for url in (self.issuer, self.jwks_uri))


class AuthSettings(Section):
    """Authorization by mode. Health, the web page and openapi.json are open in every mode."""

    mode: Mode = "api-key"
    # Required for mode 'none' outside `local` and `dev`: any client that knows the address can call it at your cost.
    i_know_this_is_public: bool = False
    # Each needs four of the 500 resources of a stack.
    clients: Annotated[dict[ClientName, ClientSettings], Field(min_length=1, max_length=65)] = Field(
        default_factory=lambda: {"default": ClientSettings()}
    )
    iam: IamSettings = IamSettings()
    cognito: CognitoSettings = CognitoSettings()
    jwt: JwtSettings | None = None

    @model_validator(mode="after")
    def _one_mode(self) -> Self:
        for key, mode in (
            ("clients", "api-key"),
            ("iam", "iam"),
            ("cognito", "cognito"),
            ("jwt", "jwt"),
            ("i_know_this_is_public", "none"),
        ):
            if key in self.model_fields_set and self.mode != mode and getattr(self, key):
                raise ValueError(f"{key} belongs to mode {mode!r}, and mode is {self.mode!r}")
        if self.mode == "jwt" and self.jwt is None:
            raise ValueError("mode 'jwt' needs jwt.issuer and jwt.audience")
        return self

    def plans(self, rate: float, burst: int) -> dict[ClientName, ClientPlan]:
        """Return the clients that have keys and usage plans: none unless the mode is ``api-key``.

        Parameters
        ----------
        rate, burst
            The stage's limits, for clients without limits of their own.
        """
        if self.mode != "api-key":
            return {}
        return {
            name: ClientPlan(
                rate=rate if client.rate is None else client.rate,
                burst=burst if client.burst is None else client.burst,
                quota=client.quota,
                secret=client.secret,
                key_version=client.key_version,
            )
            for name, client in self.clients.items()
        }

    @model_validator(mode="after")
    def _distinct_secrets(self) -> Self:
        secrets = [client.secret for client in self.clients.values() if client.secret is not None]
        twice = sorted({secret for secret in secrets if secrets.count(secret) > 1})
        if twice:
            raise ValueError(f"clients has the secret {twice[0]!r} twice; API Gateway takes a key's value only once")
        return self

    def conflict(self, environment: str, stage_rate: float, stage_burst: int) -> str | None:
        """Return how it conflicts with other sections of the environment, or None."""
        if self.mode == "none" and environment not in PRIVATE_ENVIRONMENTS and not self.i_know_this_is_public:
            return (
                f"auth.mode 'none' lets everybody call {environment}: set auth.i_know_this_is_public to true if that "
                "is wanted, or choose 'api-key', 'iam', 'cognito' or 'jwt'"
            )
        if self.jwt is not None and self.jwt.plain_http and environment != "local":
            return "auth.jwt.issuer and jwks_uri must be https: who can change keys on their way can sign tokens"
        image = self.jwt.image if self.jwt is not None else None
        if image is not None and image.tag and environment != "local":
            return mutable_tag("auth.jwt.image", image.repository, image.tag)
        if self.mode == "cognito" and self.cognito.user_pool_arn is None and self.cognito.domain_prefix is None:
            taken = [word for word in ("aws", "amazon", "cognito") if word in environment]
            if taken:
                return (
                    f"auth.cognito.domain_prefix is needed: its default has {environment!r}, and AWS keeps {taken[0]!r}"
                )
        for name, client in self.plans(stage_rate, stage_burst).items():
            if client.rate > stage_rate:
                return f"auth.clients.{name}.rate is above api.rate_limit, which would never let it through"
            if client.burst > stage_burst:
                return f"auth.clients.{name}.burst is above api.burst_limit, which would never let it through"
        return None
