"""Environment variables that must not reach the local cloud: credentials of other AWS accounts, proxies, CDK options.

A local run connects to this machine only, with its own identity, and synthesizes the settings of ``cdk.json``. It
ignores all of these variables; certificates (``SSL_CERT_FILE``) and package registries stay in force.
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
# Configuration of MiniStack itself.
_CONFIGURATION = ("GATEWAY_PORT", "BIND_HOST", "AUTH", "PERSIST_STATE", "SERVICES", "LOG_LEVEL")
# Extra certificates that Node trusts open no connection.
_ALLOWED = ("NODE_EXTRA_CA_CERTS",)

# Nothing on this machine is reached by a proxy.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def isolated_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that change the account, the network or the settings of a local run."""
    return {name: value for name, value in variables.items() if name in _ALLOWED or not _is_excluded(name)}


def clear_environment() -> None:
    """Remove these variables from this process: boto3 and urllib read the environment in many places."""
    for name in [name for name in os.environ if name not in isolated_variables({name: ""})]:
        del os.environ[name]


def _is_excluded(name: str) -> bool:
    upper = name.upper()
    return upper.startswith(PREFIXES) or upper in PROXIES or name in PYTHON or name in _CONFIGURATION
