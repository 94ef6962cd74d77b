"""The base image that the function's image is built on here: the AWS one where it can be had, else the stand-in."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass

from tests.container import standin
from tests.container.engine import Engine

AWS_BASE = "public.ecr.aws/lambda/python:3.13"
REGISTRY = "https://public.ecr.aws/v2/"
ANSWER_SECONDS = 5
PULL_SECONDS = 240


@dataclass(frozen=True)
class Base:
    """A base image: its reference, and what a report calls it."""

    image: str
    words: str


def prepare(engine: Engine) -> Base:
    """Return a base image that is in the engine's storage.

    The stand-in has another name and is passed by the Dockerfile's build argument: under the AWS name, a later
    deployment from this machine would ship Debian.

    Raises
    ------
    tests.container.standin.StandInError
        If neither can be had.
    """
    if engine.has(AWS_BASE) or (_answers(REGISTRY) and engine.pull(AWS_BASE, PULL_SECONDS)):
        return Base(AWS_BASE, f"the AWS base {AWS_BASE}")
    image = f"localhost/loupe-stand-in:{standin.digest()}"
    if not engine.has(image):
        engine.build(standin.context(), image, file="Dockerfile", arguments={}, mounts={})
    return Base(image, f"a stand-in base (Debian {standin.DEBIAN} and its Python 3.13, not Amazon Linux)")


def _answers(url: str) -> bool:
    """Whether a registry is within reach; that it wants a token is an answer, too."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
