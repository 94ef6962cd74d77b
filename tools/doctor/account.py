"""The account and region: identity, bootstrap, concurrency quota, API Gateway's role for logs."""

from __future__ import annotations

from collections.abc import Iterator

from infra.settings import Settings
from infra.settings.bulk import JOBS_CONCURRENCY
from tools.doctor.aws import Aws, CallError
from tools.doctor.findings import Finding, error, ok, warning

# "CDK bootstrap stack version 6 required", says a template of the pinned library; a test compares them.
BOOTSTRAP_VERSION = 6
DEFAULT_QUALIFIER = "hnb659fds"
# Lambda developer guide, 'Configuring reserved concurrency for a function'.
LEFT_UNRESERVED = 100
CONCURRENCY_QUOTA = "L-B99A9384"


def identity(settings: Settings, aws: Aws) -> tuple[str, list[Finding]]:
    """Return the account of the credentials, and findings about it.

    Raises
    ------
    CallError
    """
    caller = aws.call("sts", "get_caller_identity")
    account, arn = str(caller["Account"]), str(caller["Arn"])
    if settings.account is not None and settings.account != account:
        return account, [
            error(
                "account",
                f"The credentials are of account {account} ({arn}), and {settings.environment} belongs to "
                f"{settings.account}.",
                f"Use credentials of {settings.account} (AWS_PROFILE), or change account in cdk.json.",
            )
        ]
    findings = [ok("account", f"Account {account}, region {aws.region}, as {arn}.")]
    if arn.endswith(":root"):
        findings.append(
            warning("account", "These are the credentials of the account's root user.", "Use a role that may deploy.")
        )
    return account, findings


def bootstrap(aws: Aws, account: str, qualifier: str) -> Iterator[Finding]:
    """Check the version of the bootstrap stack."""
    name = f"/cdk-bootstrap/{qualifier}/version"
    action = f"node_modules/.bin/cdk bootstrap aws://{account}/{aws.region}"
    try:
        value = str(aws.call("ssm", "get_parameter", Name=name)["Parameter"]["Value"])
    except CallError as failure:
        if failure.code != "ParameterNotFound":
            raise
        yield error("bootstrap", f"Account {account} is not bootstrapped in {aws.region}: there is no {name}.", action)
        return
    if not value.isdecimal() or int(value) < BOOTSTRAP_VERSION:
        yield error("bootstrap", f"The bootstrap stack has version {value}, and {BOOTSTRAP_VERSION} is needed.", action)
        return
    yield ok("bootstrap", f"The bootstrap stack has version {value} ({BOOTSTRAP_VERSION} is needed).")


def concurrency(settings: Settings, aws: Aws) -> Iterator[Finding]:
    """Check that the reserves of this stack fit beside those of other functions."""
    limits = aws.call("lambda", "get_account_settings")["AccountLimit"]
    quota, unreserved = int(limits["ConcurrentExecutions"]), int(limits["UnreservedConcurrentExecutions"])
    name = f"loupe-{settings.environment}"
    functions = [name, f"{name}-authorizer"] if settings.auth.jwt is not None else [name]
    # Bulk jobs, a shadow test and releases have separate reserves, which other functions cannot use.
    further = bulk_reserves(settings) | shadow_reserve(settings) | release_reserves(settings)
    # The reserves of a deployed stack are available to its update.
    own = sum(_reserve(aws, function) for function in (*functions, *further))
    others = quota - unreserved - own
    available = max(0, quota - others - LEFT_UNRESERVED - sum(further.values()))
    reserve = settings.function.reserved_concurrency
    provisioned = settings.scaling.provisioned
    request = (
        f"aws service-quotas request-service-quota-increase --region {aws.region} --service-code lambda "
        f"--quota-code {CONCURRENCY_QUOTA} --desired-value "
    )
    if reserve is None:
        if provisioned is not None and provisioned.max > available:
            yield error(
                "concurrency",
                f"scaling.provisioned.max is {provisioned.max}, and the account can keep {available} environments "
                f"ready: its quota is {quota}, others reserve {others}, and {LEFT_UNRESERVED} stay unreserved.",
                f"Lower it, or ask for more: {request}{others + provisioned.max + LEFT_UNRESERVED}",
            )
        elif quota < LEFT_UNRESERVED:
            yield warning(
                "concurrency",
                f"All functions of the account together have {quota} concurrent executions: more requests at once "
                "are throttled.",
                f"Ask for more: {request}1000",
            )
        else:
            yield ok("concurrency", f"No reserve is set; {unreserved} of {quota} concurrent executions are unreserved.")
        return
    required = reserve * len(functions)
    if required > available:
        suffix = f" for each of {len(functions)} functions" if len(functions) > 1 else ""
        yield error(
            "concurrency",
            f"function.reserved_concurrency is {reserve}{suffix}, and {available} can be reserved: the account's "
            f"quota is {quota}, other functions reserve {others}, and Lambda keeps {LEFT_UNRESERVED} unreserved.",
            f"Ask for more: {request}{others + required + LEFT_UNRESERVED} ; or lower function.reserved_concurrency to "
            f"{available // len(functions)}, or set it to null.",
        )
        return
    yield ok(
        "concurrency", f"{required} of the {available} concurrent executions that can be reserved (quota {quota})."
    )


def release_reserves(settings: Settings) -> dict[str, int]:
    """Return the reserves of the release functions, by function: one each, where the classifier has a reserve."""
    release = settings.release
    if not release.gradual or settings.function.reserved_concurrency is None:
        return {}
    parts = (*(("before", "after") if release.hooks else ()), *(("synthetic",) if release.synthetic_traffic else ()))
    return {f"loupe-{settings.environment}-{part}-traffic": 1 for part in parts}


def bulk_reserves(settings: Settings) -> dict[str, int]:
    """Return the reserves of the functions of bulk jobs, by function."""
    if not settings.bulk.enabled or settings.bulk.reserved_concurrency is None:
        return {}
    name = f"loupe-{settings.environment}"
    return {f"{name}-bulk": settings.bulk.reserved_concurrency, f"{name}-jobs": JOBS_CONCURRENCY}


def shadow_reserve(settings: Settings) -> dict[str, int]:
    """Return the reserve of the function of a shadow test, by function."""
    shadow = settings.shadow
    if shadow.challenger is None or shadow.reserved_concurrency is None:
        return {}
    return {f"loupe-{settings.environment}-shadow": shadow.reserved_concurrency}


def _reserve(aws: Aws, function: str) -> int:
    try:
        response = aws.call("lambda", "get_function_concurrency", FunctionName=function)
    except CallError as failure:
        if failure.code != "ResourceNotFoundException":
            raise
        return 0
    return int(response.get("ReservedConcurrentExecutions") or 0)


def log_role(settings: Settings, aws: Aws) -> Iterator[Finding]:
    """Check the role by which API Gateway writes logs: one for all APIs of an account and region."""
    role = str(aws.call("apigateway", "get_account").get("cloudwatchRoleArn") or "")
    # CloudFormation names a role after its stack and logical id; environments have no capitals, so that the role of
    # prod-eu is not taken for one of prod.
    own = role.rpartition("/")[2].startswith(f"Loupe-{settings.environment}-Api")
    if settings.api.account_log_role and role and not own:
        yield error(
            "log-role",
            f"API Gateway already writes this account's logs as {role}, for every API of {aws.region}; the deployment "
            "would replace it.",
            "Set api.account_log_role to false, and the API uses that role.",
        )
    elif not settings.api.account_log_role and not role:
        yield error(
            "log-role",
            f"API Gateway has no role for logs in {aws.region}, and api.account_log_role is false: the stage with its "
            "access log would be rejected.",
            "Set api.account_log_role to true, or give the account a role: aws apigateway update-account.",
        )
    elif role:
        yield ok("log-role", f"API Gateway writes logs as {role}.")
    else:
        yield ok("log-role", "API Gateway has no role for logs yet; the stack makes one.")
