"""Digests of a multi-platform image by a registry's HTTP API.

Sources: OCI distribution specification 1.1, 'Pulling manifests'; Docker registry token authentication.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

MAX_BYTES = 4 * 1024 * 1024
ANSWER_SECONDS = 20
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
# As Docker does: only a registry on this machine is asked without TLS.
_LOOPBACK = {"127.0.0.1", "localhost"}


class RegistryError(Exception):
    """A registry did not return a digest; the message says which and why."""


def platform_digests(image: str) -> dict[str, str]:
    """Return the digest of each platform (``linux/amd64``) of an image, from its index.

    Parameters
    ----------
    image
        ``registry/repository:tag``.

    Raises
    ------
    RegistryError
        If the registry cannot be reached or rejects the request, the image is not an index, or its content is not what
        the registry's own digest says.
    """
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.partition(":")
    if not (registry and repository and tag):
        raise RegistryError(f"{image!r} is not REGISTRY/REPOSITORY:TAG.")
    scheme = "http" if registry.partition(":")[0] in _LOOPBACK else "https"
    url = f"{scheme}://{registry}/v2/{repository}/manifests/{urllib.parse.quote(tag)}"
    body, stated = _manifest(url, image, scheme)
    actual = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if stated not in ("", actual):
        raise RegistryError(f"{image}: the registry says {stated}, but sent {actual}.")
    try:
        document = json.loads(body)
        entries = document["manifests"]
        return {
            f"{entry['platform']['os']}/{entry['platform']['architecture']}": str(entry["digest"])
            for entry in entries
            # Attestations are listed with the platform unknown/unknown.
            if entry.get("platform", {}).get("os") == "linux"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{image} is not an image for several platforms ({error!r}).") from error


def _manifest(url: str, image: str, scheme: str) -> tuple[bytes, str]:
    headers = {"Accept": ", ".join(INDEXES)}
    try:
        return _get(url, headers)
    except urllib.error.HTTPError as error:
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code != 401 or not challenge.lower().startswith("bearer "):
            raise RegistryError(f"{image}: the registry answers HTTP {error.code}.") from error
    except OSError as error:
        raise _unreachable(image, error) from error
    try:
        token = _token(challenge, scheme)
        return _get(url, {**headers, "Authorization": f"Bearer {token}"})
    except urllib.error.HTTPError as error:
        raise RegistryError(f"{image}: the registry answers HTTP {error.code}.") from error
    except OSError as error:
        raise _unreachable(image, error) from error


def _token(challenge: str, scheme: str) -> str:
    fields = dict(_CHALLENGE.findall(challenge))
    realm = fields.pop("realm", "")
    if urllib.parse.urlsplit(realm).scheme != scheme:
        raise RegistryError(f"The registry names {realm!r} as the source of its tokens, which is not {scheme}.")
    body, _ = _get(f"{realm}?{urllib.parse.urlencode(fields)}", {})
    try:
        response: dict[str, Any] = json.loads(body)
        return str(response.get("token") or response["access_token"])
    except (ValueError, KeyError, AttributeError) as error:
        raise RegistryError(f"{realm} gave no token.") from error


def _get(url: str, headers: dict[str, str]) -> tuple[bytes, str]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http or https, chosen above
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:  # noqa: S310
        body: bytes = response.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise RegistryError(f"{url} sends more than {MAX_BYTES} bytes.")
        return body, response.headers.get("Docker-Content-Digest", "")


def _unreachable(image: str, error: OSError) -> RegistryError:
    reason = getattr(error, "reason", error)
    return RegistryError(f"The registry of {image} cannot be reached: {reason}.")
