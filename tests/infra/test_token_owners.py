"""Shared token issuers need a claim that names the owner: at synth and in the authorizer, by the same rules."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import owners
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import token_owners
from infra.settings import SettingsError, load_settings

GITHUB = "https://token.actions.githubusercontent.com"
EKS = "https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF"
TENANT = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"
OWN = "https://id.example.com/"

ACCEPTED: list[tuple[str, dict[str, Any], list[str]]] = [
    (GITHUB, {"sub": "repo:my-org/my-repo:*"}, []),
    (GITHUB, {"sub": "repo:my-org/*"}, []),
    (GITHUB, {"sub": "repo:my-org/my-repo:ref:refs/heads/main"}, []),
    (GITHUB, {"repository_owner_id": "1234"}, []),
    (GITHUB, {"repository_owner": "my-org", "ref": "refs/heads/*"}, []),
    (GITHUB, {"repository": "my-org/*"}, []),
    (f"{GITHUB}/my-enterprise", {"enterprise": "my-enterprise"}, []),
    ("https://github.example.com/_services/token", {"repository": "my-org/my-repo"}, []),
    ("https://gitlab.com", {"project_path": "my-group/*"}, []),
    ("https://gitlab.com", {"namespace_path": "my-group"}, []),
    ("https://gitlab.com", {"sub": "project_path:my-group/my-project:ref_type:branch:ref:main"}, []),
    ("https://accounts.google.com", {"email": "me@my-project.iam.gserviceaccount.com", "email_verified": True}, []),
    (EKS, {"sub": "system:serviceaccount:my-namespace:*"}, []),
    ("https://oidc.circleci.com/org/123", {"sub": "org/123/project/456/*"}, []),
    ("https://app.terraform.io", {"sub": "organization:my-org:project:my-project:*"}, []),
    ("https://api.bitbucket.org/2.0/workspaces/w/pipelines-config/identity/oidc", {"workspaceUuid": "{1}"}, []),
    (TENANT, {}, ["classify"]),
    (TENANT, {"roles": "Classify"}, []),
    ("https://my-tenant.eu.auth0.com/", {}, ["classify"]),
    ("https://my-tenant.eu.auth0.com/", {"azp": "client"}, []),
    (OWN, {}, []),
    (OWN, {"sub": "team:mine:*", "level": 2, "admin": True, "share": 0.5}, []),
]
REJECTED: list[tuple[str, dict[str, Any], list[str], str]] = [
    (GITHUB, {}, [], "GitHub Actions: anybody who can run a workflow can get a token for any audience"),
    (GITHUB, {}, ["classify"], "claims must name the owner"),
    (f"{GITHUB}/", {}, [], "claims must name the owner"),
    (f"{GITHUB}:443", {}, [], "claims must name the owner"),
    (GITHUB.replace("token", "Token"), {}, [], "claims must name the owner"),
    (GITHUB, {"ref": "refs/heads/main"}, [], "by one of sub, repository, repository_id"),
    # Everybody may call a public reusable workflow: it names the called, not the caller.
    (GITHUB, {"job_workflow_ref": "my-org/my-repo/.github/workflows/a.yml@refs/heads/main"}, [], "must name the owner"),
    (GITHUB, {"sub": "repo:*"}, [], r"claims.sub is 'repo:\*'"),
    (GITHUB, {"sub": "repo:my*"}, [], "only stand at the end, behind an owner"),
    (GITHUB, {"sub": "repo:my-org/my*"}, [], "only stand at the end, behind an owner"),
    (GITHUB, {"sub": "repo:my-org*"}, [], "only stand at the end, behind an owner"),
    (GITHUB, {"sub": "repo:*/my-repo:ref:refs/heads/main"}, [], "only stand at the end"),
    (GITHUB, {"sub": "*"}, [], "only stand at the end"),
    (GITHUB, {"sub": "repo:my-org/my-repo:**"}, [], "only stand at the end"),
    (GITHUB, {"repository_owner": "*"}, [], "only stand at the end"),
    (GITHUB, {"repository_owner": "my-org/*"}, [], "only stand at the end"),
    (GITHUB, {"repository": "*/my-repo"}, [], "only stand at the end"),
    (GITHUB, {"repository_owner_id": 1234}, [], "must name the owner"),
    (GITHUB, {"sub": "environment:prod"}, [], "must name the owner"),
    ("https://token.actions.acme.ghe.com", {}, [], "GitHub Actions"),
    ("https://github.example.com/_services/token", {}, [], "GitHub Actions"),
    ("https://gitlab.com", {"ref": "main"}, [], "GitLab.com"),
    ("https://accounts.google.com", {"email_verified": True}, [], "Google: anybody with a Google or service account"),
    ("https://accounts.google.com", {"email": "me@*"}, [], "only stand at the end"),
    (EKS, {}, [], "Kubernetes: every pod of the cluster"),
    (EKS, {"sub": "system:serviceaccount:*"}, [], "only stand at the end"),
    ("https://kubernetes.default.svc.cluster.local", {}, ["classify"], "Kubernetes"),
    ("https://container.googleapis.com/v1/projects/p/locations/l/clusters/c", {}, [], "Kubernetes"),
    ("https://westeurope.oic.prod-aks.azure.com/tenant/id/", {}, [], "Kubernetes"),
    ("https://oidc.circleci.com/org/123", {}, [], "CircleCI"),
    ("https://app.terraform.io", {"terraform_workspace_name": "prod"}, [], "HCP Terraform"),
    ("https://app.eu.terraform.io", {}, [], "HCP Terraform"),
    ("https://api.bitbucket.org/2.0/workspaces/w/pipelines-config/identity/oidc", {}, [], "Bitbucket Pipelines"),
    ("https://login.microsoftonline.com/common/v2.0", {"sub": "me"}, ["classify"], "use the one of your tenant"),
    ("https://login.microsoftonline.com/organizations/v2.0", {}, [], "use the one of your tenant"),
    ("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", {}, ["x"], "a Microsoft account"),
    (TENANT, {}, [], "every application of the tenant"),
    ("https://my-tenant.eu.auth0.com/", {}, [], r"or scopes\)"),
    (OWN, {"sub": "system:serviceaccount:*"}, [], "only stand at the end"),
    (OWN, {"sub": "a*b"}, [], "only stand at the end"),
    (OWN, {"sub": "team:*"}, [], "only stand at the end"),
]  # fmt: skip


def load(issuer: str, claims: dict[str, Any], scopes: list[str]) -> None:
    jwt = {"issuer": issuer, "audience": ["me"], "claims": claims, "scopes": scopes}
    load_settings({"environments": {"dev": {"auth": {"mode": "jwt", "jwt": jwt}}}}, "dev", None)


@pytest.fixture(scope="module")
def authorize() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOUPE_JWT_ISSUER", OWN)
        patch.setenv("LOUPE_JWT_AUDIENCE", "me")
        yield importlib.import_module("authorize")


def configure(authorize: Any, issuer: str, claims: dict[str, Any], scopes: list[str]) -> None:
    names = {"ISSUER": issuer, "AUDIENCE": "me", "CLAIMS": json.dumps(claims), "SCOPES": " ".join(scopes)}
    authorize.configured({f"LOUPE_JWT_{name}": value for name, value in names.items()})


@pytest.mark.parametrize(("issuer", "claims", "scopes"), ACCEPTED, ids=str)
def test_claims_that_name_the_owner_are_accepted(
    authorize: Any, issuer: str, claims: dict[str, Any], scopes: list[str]
) -> None:
    load(issuer, claims, scopes)
    configure(authorize, issuer, claims, scopes)


@pytest.mark.parametrize(("issuer", "claims", "scopes", "sentence"), REJECTED, ids=str)
def test_a_shared_issuer_without_its_owner_is_rejected_at_synth_and_at_start(
    authorize: Any, issuer: str, claims: dict[str, Any], scopes: list[str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load(issuer, claims, scopes)
    with pytest.raises(ValueError, match=sentence):
        configure(authorize, issuer, claims, scopes)


@pytest.mark.parametrize("entry", token_owners.shared_issuers(), ids=lambda entry: entry["name"])
def test_the_example_of_each_shared_issuer_is_one_that_it_accepts(entry: dict[str, Any]) -> None:
    issuer = next(issuer for issuer, *_ in ISSUERS if owner_entry(issuer) == entry["name"])
    assert (token_owners.conflict(issuer, entry["example"], ()) is None) == bool(entry["owners"])


ISSUERS = [(row[0],) for row in (*ACCEPTED, *REJECTED)] + [
    ("https://agent.buildkite.com",), ("https://oidc.vercel.com/team",), ("https://appleid.apple.com",),
]  # fmt: skip


def owner_entry(issuer: str) -> str:
    sentence = token_owners.conflict(issuer, {}, ()) or ""
    return next((entry["name"] for entry in token_owners.shared_issuers() if sentence.startswith(entry["name"])), "")


PARTS = st.sampled_from(["repo", "my-org", ":", "/", "*", "system:serviceaccount:", "a@b", "", "{", "organization"])
CLAIMS = st.dictionaries(
    st.sampled_from(sorted({name for entry in token_owners.shared_issuers() for name in entry["owners"]} | {"x"})),
    st.lists(PARTS, max_size=6).map("".join) | st.booleans() | st.integers(),
    max_size=3,
)


@given(st.sampled_from(ISSUERS), CLAIMS, st.lists(st.just("classify"), max_size=1))
def test_synth_and_the_authorizer_agree_on_any_claims(
    issuer: tuple[str], claims: dict[str, Any], scopes: list[str]
) -> None:
    assert token_owners.conflict(issuer[0], claims, scopes) == owners.conflict(issuer[0], claims, scopes)


VALUES = [True, False, 0, 1, 1.0, 0.5, "true", "1", "", "a", None, [], {}]


@pytest.mark.parametrize("required", [True, False, 0, 1, 0.5, "true", "1", "a"], ids=repr)
def test_a_required_claim_is_compared_with_its_type(required: Any) -> None:
    equal = [value for value in VALUES if owners.satisfies(required, value)]
    assert [(type(value) in (int, float), value) for value in equal] == [
        (type(required) in (int, float), value) for value in ([1, 1.0] if required == 1 and required is not True
                                                              else [required])
    ]  # fmt: skip
    assert owners.satisfies(required, ["other", required])
    assert not owners.satisfies(required, [[required]])


def test_a_wildcard_needs_an_owner_and_a_separator_before_it() -> None:
    required = "repo:my-org/my-repo:*"
    assert owners.satisfies(required, "repo:my-org/my-repo:ref:refs/heads/main")
    assert owners.satisfies(required, ["other", "repo:my-org/my-repo:pull_request"])
    for actual in ("repo:my-org/my-repo:", "repo:my-org/my-repo-2:ref", "xrepo:my-org/my-repo:ref", None, 1, True):
        assert not owners.satisfies(required, actual)


@pytest.mark.parametrize("claims", ['{"a": null}', '{"a": [1]}', '{"a": {}}', '{"a": ""}', '{"a": NaN}', "[]", "1"])
def test_the_authorizer_rejects_claims_of_other_types(authorize: Any, claims: str) -> None:
    with pytest.raises(ValueError, match="LOUPE_JWT_CLAIMS must be a JSON object of texts, numbers, true and false"):
        authorize.configured({"LOUPE_JWT_ISSUER": OWN, "LOUPE_JWT_AUDIENCE": "me", "LOUPE_JWT_CLAIMS": claims})


@pytest.mark.parametrize("value", [None, [1], {}, "", float("nan"), float("inf")], ids=repr)
def test_settings_reject_claims_of_other_types(value: Any) -> None:
    with pytest.raises(SettingsError, match=r"auth\.jwt\.claims\.a"):
        load(OWN, {"a": value}, [])
