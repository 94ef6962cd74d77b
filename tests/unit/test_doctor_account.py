"""`make doctor` and the account: credentials, network, permissions, bootstrap, concurrency and the role of API logs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from doctor_fakes import (
    ACCOUNT,
    HEALTHY,
    REGION,
    ROLE,
    StubbedAws,
    engine,
    environment,
    findings,
    one,
)

from tools.doctor.checks import CheckContext, examine
from tools.doctor.findings import Level

URL = "https://example.com"

CREDENTIALS = [
    (exceptions.NoCredentialsError(), "There are no usable AWS credentials: Unable to locate credentials."),
    (exceptions.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"), "Partial credentials"),
    (exceptions.CredentialRetrievalError(provider="sso", error_msg="timed out"), "retrieving credentials from sso"),
    (exceptions.UnauthorizedSSOTokenError(), "The SSO session associated with this profile has expired"),
    (("ExpiredToken", "The security token included in the request is expired", 403), "have expired (ExpiredToken)"),
    (("ExpiredTokenException", "The security token is expired", 403), "have expired"),
    (("InvalidClientTokenId", "The security token included in the request is invalid", 403), "does not accept"),
    (("SignatureDoesNotMatch", "Signature expired", 403), "does not accept the credentials (SignatureDoesNotMatch)"),
]


@pytest.mark.parametrize(("answer", "sentence"), CREDENTIALS)
def test_invalid_credentials_are_one_error_and_end_the_checks(answer: Any, sentence: str) -> None:
    aws = StubbedAws({**HEALTHY, "sts.get_caller_identity": answer})
    report = examine(environment(), CheckContext(aws, runner=engine()))
    finding = one(report, "account")
    assert (finding.level, aws.calls) == (Level.error, ["sts.get_caller_identity"])
    assert sentence in finding.summary
    assert "AWS_PROFILE" in finding.action
    # What is known without AWS is reported all the same.
    assert {"docker", "tags", "alarms"} <= {item.check for item in report}


@pytest.mark.parametrize(
    "failure",
    [
        exceptions.EndpointConnectionError(endpoint_url=URL),
        exceptions.ConnectTimeoutError(endpoint_url=URL),
        exceptions.ReadTimeoutError(endpoint_url=URL),
        exceptions.ProxyConnectionError(proxy_url=URL),
        exceptions.SSLError(endpoint_url=URL, error="self-signed certificate"),
        exceptions.ConnectionClosedError(endpoint_url=URL),
    ],
)
@pytest.mark.parametrize("operation", ["sts.get_caller_identity", "ssm.get_parameter", "lambda.get_account_settings"])
def test_an_endpoint_that_cannot_be_reached_is_an_error_that_names_the_network(operation: str, failure: Any) -> None:
    report = findings(**{operation.replace(".", "__"): failure})
    (finding,) = [item for item in report if item.level is Level.error]
    assert "cannot be reached" in finding.summary
    assert "HTTPS_PROXY" in finding.action


CALLS = [name for name in HEALTHY if not name.startswith("sts")]


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_a_missing_permission_is_a_warning_that_names_it(operation: str, code: str) -> None:
    report = findings(**{operation.replace(".", "__"): (code, "User is not authorized to perform", 403)})
    (finding,) = [item for item in report if item.level is not Level.ok]
    assert finding.level is Level.warning
    service, _, name = operation.partition(".")
    assert f"{service}:{''.join(word.capitalize() for word in name.split('_'))}" in finding.summary


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("code", ["Throttling", "ThrottlingException", "TooManyRequestsException"])
def test_throttling_is_a_warning_that_suggests_a_retry(operation: str, code: str) -> None:
    report = findings(**{operation.replace(".", "__"): (code, "Rate exceeded", 429)})
    (finding,) = [item for item in report if item.level is not Level.ok]
    assert (finding.level, finding.action) == (Level.warning, "Run it again in a minute.")


def test_an_unexpected_error_is_reported_with_its_code() -> None:
    report = findings(apigateway__get_account=("InternalFailure", "Something broke.", 500))
    assert one(report, "log-role").summary == "apigateway:GetAccount failed: Something broke (InternalFailure)."


def test_credentials_of_another_account_are_an_error() -> None:
    other = {"Account": "999900001111", "Arn": "arn:aws:iam::999900001111:user/me"}
    finding = one(findings(sts__get_caller_identity=other), "account")
    assert finding.level is Level.error
    assert "999900001111" in finding.summary
    assert ACCOUNT in finding.summary


def test_the_root_user_is_a_warning() -> None:
    root = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}
    assert "root user" in one(findings(sts__get_caller_identity=root), "account", Level.warning).summary


def test_no_region_is_an_error() -> None:
    report = examine(environment(region=None), CheckContext(None, runner=engine()))
    assert "name a region" in one(report, "account", Level.error).summary


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (("ParameterNotFound", "", 400), f"Account {ACCOUNT} is not bootstrapped in {REGION}"),
        ({"Parameter": {"Value": "5"}}, "has version 5, and 6 is needed"),
        ({"Parameter": {"Value": "none"}}, "has version none, and 6 is needed"),
    ],
)
def test_a_missing_or_old_bootstrap_stack_is_an_error_with_the_command(answer: Any, sentence: str) -> None:
    finding = one(findings(ssm__get_parameter=answer), "bootstrap")
    assert (finding.level, sentence in finding.summary) == (Level.error, True)
    assert finding.action == f"node_modules/.bin/cdk bootstrap aws://{ACCOUNT}/{REGION}"


def _limits(quota: int, unreserved: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": unreserved}}


@pytest.mark.parametrize(
    ("quota", "unreserved", "own", "reserve", "fits"),
    [
        (1000, 1000, None, 900, True),
        (1000, 1000, None, 901, False),  # 100 stay unreserved
        (1000, 400, None, 300, True),
        (1000, 400, None, 301, False),
        (1000, 350, 50, 300, True),  # its own 50 are given back first
        (1000, 350, 50, 301, False),
        (10, 10, None, 1, False),  # a new account
    ],
)
def test_a_reserve_must_fit_beside_those_of_other_functions(
    quota: int, unreserved: int, own: int | None, reserve: int, fits: bool
) -> None:
    report = findings(
        environment(function={"reserved_concurrency": reserve}),
        lambda__get_account_settings=_limits(quota, unreserved),
        **({} if own is None else {"lambda__get_function_concurrency": {"ReservedConcurrentExecutions": own}}),
    )
    finding = one(report, "concurrency")
    assert finding.level is (Level.ok if fits else Level.error)
    if not fits:
        value = quota - unreserved - (own or 0) + reserve + 100
        assert f"--quota-code L-B99A9384 --desired-value {value} " in finding.action


def test_the_authorizer_reserves_as_much_again() -> None:
    jwt = {"issuer": "https://id.example.com/", "audience": ["loupe"]}
    settings = environment(auth={"mode": "jwt", "jwt": jwt}, function={"reserved_concurrency": 451})
    finding = one(findings(settings), "concurrency")
    assert finding.level is Level.error
    assert "451 for each of 2 functions" in finding.summary
    assert "to 450," in finding.action


def test_without_a_reserve_a_small_quota_is_a_warning_and_provisioned_concurrency_must_fit() -> None:
    small = _limits(10, 10)
    none = environment("dev", function={"reserved_concurrency": None})
    assert one(findings(none, lambda__get_account_settings=small), "concurrency").level is Level.warning
    assert one(findings(none), "concurrency").level is Level.ok
    settings = environment("dev", function={"reserved_concurrency": None}, scaling={"provisioned": {"max": 20}})
    finding = one(findings(settings, lambda__get_account_settings=_limits(110, 110)), "concurrency")
    assert (finding.level, "scaling.provisioned.max is 20" in finding.summary) == (Level.error, True)


@pytest.mark.parametrize(
    ("makes_one", "role", "level"),
    [
        (True, None, Level.ok),
        (True, ROLE, Level.ok),  # the stack's own
        (True, f"arn:aws:iam::{ACCOUNT}:role/landing-zone-api-logs", Level.error),
        (True, ROLE.replace("prod", "dev"), Level.error),
        (True, ROLE.replace("prod", "prod-eu"), Level.error),
        (False, None, Level.error),
        (False, f"arn:aws:iam::{ACCOUNT}:role/landing-zone-api-logs", Level.ok),
    ],
)
def test_the_accounts_log_role_is_never_replaced_silently(makes_one: bool, role: str | None, level: Level) -> None:
    settings = environment(api={"account_log_role": makes_one})
    finding = one(
        findings(settings, apigateway__get_account={} if role is None else {"cloudwatchRoleArn": role}), "log-role"
    )
    assert finding.level is level
    if level is Level.error:
        assert f"Set api.account_log_role to {'false' if makes_one else 'true'}" in finding.action
