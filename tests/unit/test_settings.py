"""Settings: every variable is read, and every invalid value raises a sentence that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from loupe.settings import MetricsRules, Settings
from loupe.sources.s3 import S3Location, S3Rules
from loupe.sources.url import UrlRules
from loupe.variables import SettingsError

MODELS = Path("/var/task/models")


def parse(**variables: str) -> Settings:
    return Settings.from_environment(variables, MODELS)


def test_defaults_are_safe() -> None:
    settings = parse()
    assert (settings.environment, settings.model, settings.models_dir) == ("local", "hair-type", MODELS)
    assert settings.url == UrlRules()
    assert settings.url.policy == "off"
    assert settings.s3 == S3Rules()
    assert (settings.max_batch, settings.cors_origins, settings.log_level, settings.threads) == (32, (), "INFO", 1)
    assert settings.metrics == MetricsRules() == (20, False, "")


def test_empty_variables_count_as_not_set() -> None:
    names = ("LOUPE_MODEL", "LOUPE_S3_LOCATIONS", "LOUPE_UPLOAD_BUCKET", "LOUPE_CORS_ORIGINS", "LOUPE_URL_HOSTS")
    assert parse(**dict.fromkeys(names, " ")) == parse()


def test_all_variables_are_read() -> None:
    settings = parse(
        LOUPE_ENVIRONMENT="prod",
        LOUPE_MODEL="course",
        LOUPE_MODELS_DIR="/m",
        LOUPE_URL_POLICY="allow-list",
        LOUPE_URL_HOSTS="images.example.com, *.example.org",
        LOUPE_URL_SCHEMES="https,http",
        LOUPE_URL_PRIVATE_NETWORKS="10.0.0.53/32",
        LOUPE_URL_TIMEOUT_SECONDS="2.5",
        LOUPE_S3_LOCATIONS="photos, archive/2026/hair/",
        LOUPE_UPLOAD_BUCKET="loupe-uploads",
        LOUPE_UPLOAD_SECONDS="120",
        LOUPE_S3_TIMEOUT_SECONDS="3",
        LOUPE_MAX_IMAGE_BYTES="2000",
        LOUPE_MAX_IMAGE_PIXELS="20000",
        LOUPE_FORMATS="png, tiff",
        LOUPE_MAX_BATCH="8",
        LOUPE_CORS_ORIGINS="https://example.com,http://localhost:5173",
        LOUPE_LOG_LEVEL="DEBUG",
        LOUPE_METRICS_MAX_LABELS="5",
        LOUPE_METRICS_BY_VERSION="true",
        LOUPE_THREADS="3",
    )
    assert settings.metrics == MetricsRules(5, by_version=True)
    assert settings.url.hosts == ("images.example.com", "*.example.org")
    assert settings.url.ports == (443, 80)
    assert settings.s3 == S3Rules((S3Location("photos"), S3Location("archive", "2026/hair/")), "loupe-uploads", 120, 3)
    assert (settings.limits.max_bytes, settings.limits.max_pixels, settings.max_batch) == (2000, 20000, 8)
    assert settings.limits.formats == ("png", "tiff")
    assert settings.cors_origins == ("https://example.com", "http://localhost:5173")
    assert (settings.log_level, settings.threads) == ("DEBUG", 3)


@pytest.mark.parametrize(("memory", "vcpus"), [("1769", 1.0), ("3538", 2.0), ("10240", 5.79)])
def test_the_share_of_a_cpu_follows_memory(memory, vcpus) -> None:
    assert parse(AWS_LAMBDA_FUNCTION_MEMORY_SIZE=memory).vcpus == pytest.approx(vcpus, abs=0.01)
    assert parse().vcpus == 1.0


@pytest.mark.parametrize(("memory", "threads"), [("128", 1), ("1769", 1), ("3008", 2), ("3538", 2), ("10240", 6)])
def test_threads_follow_memory(memory, threads) -> None:
    assert parse(AWS_LAMBDA_FUNCTION_MEMORY_SIZE=memory).threads == threads


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LOUPE_MODEL", "../x", "name of a folder"),
        ("LOUPE_URL_POLICY", "on", "off, allow-list, public"),
        ("LOUPE_URL_POLICY", "allow-list", "LOUPE_URL_HOSTS names no host"),
        ("LOUPE_ENVIRONMENT", "Prod_1", "a small letter"),
        ("LOUPE_URL_HOSTS", "images.example.com", "belongs to the policy 'allow-list'"),
        ("LOUPE_URL_HOSTS", "Images.example.com", "host names in small letters"),
        ("LOUPE_URL_HOSTS", "https://example.com/", "host names in small letters"),
        ("LOUPE_URL_SCHEMES", ",", "must hold https, http or both"),
        ("LOUPE_URL_PORTS", "80", "add 443"),
        ("LOUPE_URL_PORTS", ",", "port numbers"),
        ("LOUPE_URL_PRIVATE_NETWORKS", "10.0.0.0/8", "needs a policy other than 'off'"),
        ("LOUPE_URL_PRIVATE_NETWORKS", "fe80::%1/64", "no zone"),
        ("LOUPE_URL_TIMEOUT_SECONDS", "21", "at most 20"),
        ("LOUPE_URL_SCHEMES", "https,file", "must hold https, http or both"),
        ("LOUPE_URL_PORTS", "443,99999", "port numbers"),
        ("LOUPE_URL_PRIVATE_NETWORKS", "10.0.0.1/8", "10.0.0.0/8"),
        ("LOUPE_URL_TIMEOUT_SECONDS", "0", "above 0"),
        ("LOUPE_URL_TIMEOUT_SECONDS", "nan", "above 0"),
        ("LOUPE_URL_TIMEOUT_SECONDS", "soon", "above 0"),
        ("LOUPE_S3_LOCATIONS", "photos,archive/2026", "slash at the end"),
        ("LOUPE_S3_LOCATIONS", "Photos", "bucket/prefix/"),
        ("LOUPE_S3_LOCATIONS", "s3://photos/", "bucket/prefix/"),
        ("LOUPE_S3_LOCATIONS", "photos/*/", "bucket/prefix/"),
        ("LOUPE_UPLOAD_BUCKET", "arn:aws:s3:::x", "name of an S3 bucket"),
        ("LOUPE_UPLOAD_SECONDS", "10", "from 60 to 3600"),
        ("LOUPE_MAX_IMAGE_BYTES", "10MB", "whole number"),
        ("LOUPE_METRICS_MAX_LABELS", "1001", "from 0 to 1000"),
        ("LOUPE_METRICS_BY_VERSION", "yes", "true, false"),
        ("LOUPE_FORMATS", "jpeg,svg", "jpeg, png, webp, gif, avif, heic, bmp, tiff"),
        ("LOUPE_FORMATS", "jpeg,jpeg", "each once"),
        ("LOUPE_FORMATS", "JPEG", "must hold some of"),
        ("LOUPE_FORMATS", ",", "must hold some of"),
        ("LOUPE_MAX_BATCH", "0", "from 1 to 100"),
        ("LOUPE_MAX_BATCH", "1000", "from 1 to 100"),
        ("LOUPE_CORS_ORIGINS", "example.com", "https://example.com"),
        ("LOUPE_CORS_ORIGINS", "https://example.com/", "https://example.com"),
        ("LOUPE_CORS_ORIGINS", "https://Example.com", "small letters"),
        ("LOUPE_CORS_ORIGINS", "https://example.com:443", "no default port"),
        ("LOUPE_CORS_ORIGINS", "https://example.com:1234567", "as a browser sends them"),
        ("LOUPE_CORS_ORIGINS", "*,https://example.com", "alone"),
        ("LOUPE_LOG_LEVEL", "LOUD", "DEBUG, INFO"),
        ("LOUPE_THREADS", "-1", "at least 1"),
    ],
)
def test_invalid_value_is_named_in_the_error(name, value, words) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(**{name: value})
    assert name in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("network", ["127.0.0.0/8", "0.0.0.0/0", "::/0", "169.254.0.0/24"])
def test_private_networks_include_the_own_machine_in_the_local_cloud_only(network) -> None:
    variables = {"LOUPE_URL_POLICY": "public", "LOUPE_URL_PRIVATE_NETWORKS": network}
    with pytest.raises(SettingsError, match="own machine or link"):
        parse(**variables, LOUPE_ENVIRONMENT="prod")
    assert parse(**variables, LOUPE_ENVIRONMENT="local").url.private_networks
