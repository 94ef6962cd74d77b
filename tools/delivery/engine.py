"""The container engine: docker, or what ``CDK_DOCKER`` names (podman and buildah take the same commands)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.components.container_image import BuiltImage
from tools.delivery.errors import DeliveryError

PLATFORMS: Mapping[str, str] = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
# Lambda runs no OCI index, and BuildKit makes one of every image with an attestation. The CDK sets this, too.
_NO_ATTESTATIONS = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


@dataclass(frozen=True)
class Engine:
    """A container engine.

    Parameters
    ----------
    program
        Its command.
    """

    program: str

    @classmethod
    def of_environment(cls) -> Engine:
        """Return the engine of ``CDK_DOCKER``, or docker.

        Raises
        ------
        DeliveryError
            If there is no such program.
        """
        program = os.environ.get("CDK_DOCKER", "docker")
        if shutil.which(program) is None:
            raise DeliveryError(
                f"There is no program {program!r}: install Docker, or name another engine in CDK_DOCKER."
            )
        return cls(program)

    def build(self, image: BuiltImage, tag: str) -> None:
        """Build one image for one platform, without attestations; the engine's output goes to the terminal."""
        arguments = [f"--build-arg={name}={value}" for name, value in image.build_args.items()]
        dockerfile = image.context / (image.dockerfile or "Dockerfile")
        options = [f"--platform={PLATFORMS[image.architecture]}", *arguments, f"--file={dockerfile}", f"--tag={tag}"]
        self._show(["build", *options, str(image.context)], _NO_ATTESTATIONS)

    def push(self, tag: str, remote: str, registry: str, token: str, folder: Path) -> None:
        """Push a local image under another name.

        Parameters
        ----------
        registry, token
            Host of the registry, and its Basic credentials in base64. They are written to a file in ``folder`` that
            only this user can read, and never to a command line or to the user's own configuration.
        """
        configuration = folder / "config.json"
        configuration.touch(mode=0o600)
        configuration.write_text(json.dumps({"auths": {registry: {"auth": token}}}), encoding="utf-8")
        # Docker reads the folder, podman and buildah the file.
        credentials = {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(configuration)}
        self._show(["tag", tag, remote])
        self._show(["push", remote], credentials)

    def read(self, tag: str, *command: str) -> str:
        """Run a program of an image without a network, and return what it prints.

        Raises
        ------
        DeliveryError
            If it fails.
        """
        arguments = ["run", "--rm", "--network=none", f"--entrypoint={command[0]}", tag, *command[1:]]
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise DeliveryError(f"{command[0]} in {tag} ended with {done.returncode}: {_tail(done.stderr)}")
        return done.stdout

    def _show(self, arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        done = subprocess.run([self.program, *arguments], env={**os.environ, **(variables or {})}, check=False)
        if done.returncode != 0:
            raise DeliveryError(
                f"{self.program} {arguments[0]} ended with {done.returncode}; its output is above. `docker info` tells "
                "whether the engine runs; CDK_DOCKER names another."
            )


def _tail(text: str) -> str:
    return " ".join(text.strip().splitlines()[-3:])
