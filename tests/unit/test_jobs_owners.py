"""Whose a job is: the identity of the deployment's auth mode, and never one that the request names itself."""

from __future__ import annotations

import pytest
from bulk_fakes import ENVIRONMENT, jobs_settings
from loupe.errors import CallerUnknown
from loupe.jobs.owners import AUTH_MODES, owner_of
from loupe.jobs.settings import JobsSettings
from loupe.variables import SettingsError

ROLE = "arn:aws:sts::111122223333:assumed-role/Uploader/"


def event(**context):
    return {"requestContext": context}


def test_api_keys() -> None:
    first, second = (owner_of(event(identity={"apiKeyId": key}), "api-key") for key in ("a", "b"))
    assert first != second
    assert len(first) == 20


def test_sessions_of_one_role_share_their_jobs() -> None:
    alice, bob = (owner_of(event(identity={"userArn": f"{ROLE}{session}"}), "iam") for session in ("alice", "bob"))
    assert alice == bob
    other = ROLE.replace("Uploader", "Reader") + "alice"
    assert owner_of(event(identity={"userArn": other}), "iam") != alice
    assert owner_of(event(authorizer={"iam": {"userArn": f"{ROLE}carol"}}), "iam") == alice
    user = "arn:aws:iam::111122223333:user/team/alice"
    assert owner_of(event(identity={"userArn": user}), "iam") != owner_of(
        event(identity={"userArn": user + "2"}), "iam"
    )


def test_token_subjects() -> None:
    cognito = owner_of(event(authorizer={"claims": {"sub": "alice", "client_id": "app"}}), "cognito")
    assert cognito == owner_of(event(authorizer={"claims": {"sub": "alice", "client_id": "other"}}), "cognito")
    jwt = owner_of(event(authorizer={"owner": "0" * 64, "sub": "alice", "principalId": "alice"}), "jwt")
    assert jwt == owner_of(event(authorizer={"owner": "0" * 64}), "jwt")
    assert jwt != owner_of(event(authorizer={"owner": "1" * 64, "sub": "alice", "principalId": "alice"}), "jwt")


def test_texts_that_were_made_plain_for_logs_own_nothing() -> None:
    with pytest.raises(CallerUnknown):
        owner_of(event(authorizer={"sub": "m_ller", "client_id": "app", "principalId": "m_ller"}), "jwt")


def test_identities_of_another_kind_are_not_used() -> None:
    """A header or an API key must not choose the owner where the deployment authenticates by tokens."""
    identity = {"apiKeyId": "a", "apiKey": "secret", "userArn": f"{ROLE}alice"}
    for mode in ("cognito", "jwt"):
        with pytest.raises(CallerUnknown):
            owner_of(event(identity=identity), mode)
    with pytest.raises(CallerUnknown):
        owner_of(event(identity={"userArn": f"{ROLE}alice"}, authorizer={"sub": "alice"}), "api-key")
    with pytest.raises(CallerUnknown):
        owner_of(event(identity={"apiKeyId": "a"}, authorizer={"sub": "alice"}), "iam")


@pytest.mark.parametrize("mode", [mode for mode in AUTH_MODES if mode != "none"])
@pytest.mark.parametrize(
    "value",
    [{}, {"requestContext": None}, event(identity=None, authorizer="x"), event(identity={"apiKeyId": 3}),
     event(identity={"apiKeyId": "", "userArn": ""}, authorizer={"claims": [], "sub": ""})],
)  # fmt: skip
def test_a_request_without_identity_has_no_owner(mode, value) -> None:
    with pytest.raises(CallerUnknown):
        owner_of(value, mode)


def test_without_authentication_all_clients_are_one_owner() -> None:
    assert owner_of({}, "none") == owner_of(event(identity={"apiKeyId": "a"}), "none")


def test_settings_are_complete() -> None:
    assert jobs_settings().max_concurrency == 20
    for name in ENVIRONMENT:
        if name not in ("LOUPE_ENVIRONMENT", "LOUPE_S3_LOCATIONS", "LOUPE_UPLOAD_BUCKET"):
            variables = {key: value for key, value in ENVIRONMENT.items() if key != name}
            with pytest.raises(SettingsError, match=name):
                JobsSettings.from_environment(variables)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOUPE_AUTH_MODE", "password"),
        ("LOUPE_BULK_STATE_MACHINE_ARN", "loupe-bulk"),
        ("LOUPE_BULK_FUNCTION_ARN", "arn:aws:states:eu-west-1:111122223333:stateMachine:x"),
        ("LOUPE_BULK_MAX_CONCURRENCY", "0"),
        ("LOUPE_BULK_SECONDS_PER_IMAGE", "nan"),
        ("LOUPE_BULK_USD_PER_IMAGE", "-1"),
    ],
)
def test_bad_settings_stop_the_start(name, value) -> None:
    with pytest.raises(SettingsError, match=name):
        jobs_settings(**{name: value})
