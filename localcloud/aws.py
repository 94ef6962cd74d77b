"""The emulated AWS account: its endpoint, its root credentials, and environment variables without other accounts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from localcloud import isolation

SECRET = "local"  # noqa: S105 - any text does
# Settings that botocore must read neither from variables nor from files: (key of the file, variables,
# default, conversion).
_BLIND = {
    name: (None, None, default, conversion)
    for name, (_, _, default, conversion) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
} | {"config_file": (None, None, os.devnull, None), "credentials_file": (None, None, os.devnull, None)}
_CONFIG = Config(
    retries={"max_attempts": 2, "mode": "standard"},
    connect_timeout=2,
    read_timeout=60,
    proxies={},
    use_fips_endpoint=False,
    use_dualstack_endpoint=False,
)


@dataclass(frozen=True)
class Account:
    """MiniStack takes a key id of twelve digits as the root of the account with that number; the secret is any."""

    endpoint: str
    region: str
    number: str = "000000000000"

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return a boto3 client; `config` overrides the timeouts and retries that suit short calls."""
        # The stubs type a client by a literal service name; here the name is a variable.
        own: Any = botocore.session.Session(session_vars=_BLIND)
        session: Any = boto3.Session(botocore_session=own)
        return session.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.number,
            aws_secret_access_key=SECRET,
            config=_CONFIG.merge(config) if config else _CONFIG,
        )

    def environment(self) -> dict[str, str]:
        """Variables of this process without credentials of other AWS accounts and without proxies."""
        return {
            **isolation.isolated_variables(os.environ),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.number,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
