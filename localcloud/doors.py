"""Variables of a person's shell that must not reach the local cloud: ways to another AWS account, proxies, CDK options.

A local run talks to this machine alone, with an identity of its own, and synthesizes what ``cdk.json`` says. So nothing
of these is honoured; certificates (``SSL_CERT_FILE``) and package registries are.
"""

from __future__ import annotations

import os
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIXES = ("AWS_", "CDK_", "DOCKER_", "BUILDX_", "LAMBDA_", "_LAMBDA", "MINISTACK_", "LOCALSTACK_", "NODE_", "JSII_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY", "WS_PROXY", "WSS_PROXY")
PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX",
          "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONUSERBASE", "PYTHONSAFEPATH", "PYTHONOPTIMIZE", "PYTHONDEVMODE",
          "PYTHONPLATLIBDIR", "VIRTUAL_ENV")  # fmt: skip
# Where a test or a person looks at MiniStack's own messages.
_CONFIGURATION = ("GATEWAY_PORT", "BIND_HOST", "AUTH", "PERSIST_STATE", "SERVICES", "LOG_LEVEL")
# Extra certificates that Node trusts open no connection.
_KEPT = ("NODE_EXTRA_CA_CERTS",)

# Nothing on this machine is reached by a proxy.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def closed(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that change where a local run goes or what it deploys."""
    return {name: value for name, value in variables.items() if name in _KEPT or not _leaks(name)}


def close() -> None:
    """Remove them from this process: boto3 and urllib read the environment at many places."""
    for name in [name for name in os.environ if name not in closed({name: ""})]:
        del os.environ[name]


def _leaks(name: str) -> bool:
    upper = name.upper()
    return upper.startswith(PREFIXES) or upper in PROXIES or name in PYTHON or name in _CONFIGURATION
