"""A deployed function's configuration, and the environment variables that Lambda derives from it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.environment import machine_variables

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class FunctionVersion:
    """One version of a function, as GetFunction describes it. Never changes; a new deployment makes a new one."""

    name: str
    version: str
    revision: str
    role: str
    image_tag: str
    command: str | None
    memory_mib: int
    timeout_seconds: int
    variables: Mapping[str, str]
    log_group: str

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> FunctionVersion:
        configuration = description["Configuration"]
        image = (configuration.get("ImageConfigResponse") or {}).get("ImageConfig") or {}
        command = image.get("Command") or []
        name = configuration["FunctionName"]
        return cls(
            name=name,
            version=configuration.get("Version", "$LATEST"),
            revision=configuration.get("RevisionId", ""),
            role=configuration["Role"],
            image_tag=description["Code"]["ImageUri"].rpartition(":")[2],
            command=command[0] if command else None,
            memory_mib=int(configuration["MemorySize"]),
            timeout_seconds=int(configuration["Timeout"]),
            variables=dict((configuration.get("Environment") or {}).get("Variables") or {}),
            log_group=(configuration.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}",
        )


@dataclass(frozen=True)
class Site:
    """Environment of the fleet: the emulated AWS, local folders, and the address of the CodeDeploy stand-in."""

    endpoint: str
    region: str
    temporary: Path
    codedeploy: str = ""


def process_variables(
    function: FunctionVersion,
    site: Site,
    task_root: Path,
    command: str,
    stream: str,
    credentials: Mapping[str, str],
) -> dict[str, str]:
    """All variables of an execution environment: Lambda's own, the template's, and the local endpoint of AWS.

    Source: AWS Lambda developer guide, 'Defined runtime environment variables'.
    """
    return {
        **machine_variables(),
        **function.variables,
        "_HANDLER": command,
        "AWS_REGION": site.region,
        "AWS_DEFAULT_REGION": site.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mib),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout_seconds),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
        "AWS_ENDPOINT_URL": site.endpoint,
        **({"AWS_ENDPOINT_URL_CODEDEPLOY": site.codedeploy} if site.codedeploy else {}),
        "LAMBDA_TASK_ROOT": str(task_root),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        # Lambda's /tmp belongs to one environment alone.
        "TMPDIR": str(site.temporary),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
    }
