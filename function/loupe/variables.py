"""Read ``LOUPE_*`` environment variables: each kind of value has one reader, whose error names variable and value."""

from __future__ import annotations

import ipaddress
import re
from math import nan
from typing import TYPE_CHECKING

from loupe.formats import DEFAULT_FORMATS, FORMATS
from loupe.sources.s3 import S3Location, S3Rules, bucket_origins

if TYPE_CHECKING:
    from collections.abc import Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = {"https": 443, "http": 80}

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# What IAM takes for a wildcard or a variable (* ? $) would grant more than is compared here.
_LOCATION = re.compile(rf"{_BUCKET.pattern}(/([^*?$,/\x00-\x1f\x7f]+/)+)?")
_HOST = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
_HOST_PATTERN = re.compile(rf"(\*\.)?{_HOST}")
_ORIGIN = re.compile(rf"(?P<scheme>https?)://({_HOST}|\[[0-9a-f:]+\])(:(?P<port>[1-9][0-9]{{0,4}}))?")
_MAX_HOST = 253


class SettingsError(ValueError):
    """A bad value. The message names the variable, the value and what is allowed."""


class Variables:
    """Typed access to environment variables; every method raises `SettingsError` for a bad value."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str) -> str:
        return self._variables.get(name, "").strip() or default

    def formats(self, name: str) -> tuple[str, ...]:
        items = self.items(name, ",".join(DEFAULT_FORMATS))
        unknown = [item for item in items if item not in FORMATS]
        if unknown or not items or len(set(items)) < len(items):
            raise SettingsError(
                f"{name} is {','.join(items)!r} but must hold some of {', '.join(FORMATS)}, each once, with commas "
                "between."
            )
        return items

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r} but must be one of {', '.join(allowed)}.")
        return value

    def integer(self, name: str, default: int, least: int, most: int = 10**12) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            bounds = f"of at least {least}" if most == 10**12 else f"from {least} to {most}"
            raise SettingsError(f"{name} is {value!r} but must be a whole number {bounds}.")
        return int(value)

    def seconds(self, name: str, default: float, most: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:
            raise SettingsError(f"{name} is {value!r} but must be a number of seconds above 0, at most {most:g}.")
        return number

    def number(self, name: str, least: float, most: float, default: str = "") -> float:
        """Return a number; without a default the variable has to be set."""
        value = self.text(name, default)
        try:
            number = float(value)
        except ValueError:
            number = nan
        if not least <= number <= most:
            raise SettingsError(f"{name} is {value!r} but must be a number from {least:g} to {most:g}.")
        return number

    def arn(self, name: str, service: str, *, optional: bool = False) -> str:
        """Return an ARN of a service."""
        value = self.text(name, "")
        if not re.fullmatch(rf"arn:[a-z0-9-]+:{service}:[a-z0-9-]+:[0-9]{{12}}:[A-Za-z0-9:_.-]+", value) and not (
            optional and not value
        ):
            raise SettingsError(f"{name} is {value!r} but must be an ARN (arn:<partition>:{service}:...).")
        return value

    def s3_rules(self) -> S3Rules:
        """Return which S3 objects may be read."""
        upload_bucket = self.bucket("LOUPE_UPLOAD_BUCKET")
        endpoint = self.text("AWS_ENDPOINT_URL_S3", self.text("AWS_ENDPOINT_URL", ""))
        return S3Rules(
            locations=self.locations("LOUPE_S3_LOCATIONS"),
            upload_bucket=upload_bucket,
            upload_seconds=self.integer("LOUPE_UPLOAD_SECONDS", 300, 60, 3600),
            timeout_seconds=self.seconds("LOUPE_S3_TIMEOUT_SECONDS", 5.0, 900),
            upload_origins=bucket_origins(upload_bucket, self.text("AWS_REGION", ""), endpoint),
        )

    def items(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in self.text(name, default).split(",") if item.strip())

    def ports(self, name: str, default: str) -> tuple[int, ...]:
        items = self.items(name, default)
        if not items or not all(_is_port(item) for item in items):
            raise SettingsError(f"{name} is {','.join(items)!r} but must be port numbers with commas between.")
        return tuple(int(item) for item in items)

    def hosts(self, name: str) -> tuple[str, ...]:
        items = self.items(name, "")
        for item in items:
            if len(item) > _MAX_HOST or not _HOST_PATTERN.fullmatch(item):
                raise SettingsError(
                    f"{name} has {item!r} but must hold host names in small letters, such as images.example.com or "
                    "*.example.org, with commas between."
                )
        return items

    def networks(self, name: str) -> tuple[Network, ...]:
        try:
            if "%" in self.text(name, ""):
                raise ValueError("a network has no zone (%)")
            return tuple(ipaddress.ip_network(item) for item in self.items(name, ""))
        except ValueError as error:
            raise SettingsError(f"{name} must be networks such as 10.0.0.0/8, with commas between: {error}.") from None

    def bucket(self, name: str) -> str:
        value = self.text(name, "")
        if value and not _BUCKET.fullmatch(value):
            raise SettingsError(f"{name} is {value!r} but must be the name of an S3 bucket.")
        return value

    def locations(self, name: str) -> tuple[S3Location, ...]:
        items = self.items(name, "")
        for item in items:
            # Without the slash, 'photos' would also open 'photos-of-others/'.
            if not _LOCATION.fullmatch(item):
                raise SettingsError(
                    f"{name} has {item!r} but must hold bucket or bucket/prefix/ (with a slash at the end and without "
                    "* ? or $), with commas between."
                )
        return tuple(S3Location(bucket, prefix) for bucket, _, prefix in (item.partition("/") for item in items))

    def origins(self, name: str) -> tuple[str, ...]:
        items = self.items(name, "")
        for item in items:
            if item != "*" and not _is_origin(item):
                raise SettingsError(
                    f"{name} has {item!r} but must be *, or origins as a browser sends them, such as "
                    "https://example.com or http://localhost:5173: small letters, no default port, no slash at the "
                    "end; with commas between."
                )
        if "*" in items and len(items) > 1:
            raise SettingsError(f"{name} has * and other origins; * alone allows them all.")
        return items


def _is_port(text: str) -> bool:
    return len(text) <= 5 and text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _is_origin(text: str) -> bool:
    """Whether a browser could send this in ``Origin``: it leaves a scheme's default port out (HTML standard)."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return False
    port = int(match["port"] or 0)
    return port < 65536 and port != DEFAULT_PORTS[match["scheme"]]
