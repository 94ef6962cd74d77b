"""The plain alternative to a bulk job: a process that gets, classifies and notes one image after the other."""

from __future__ import annotations

import json
import multiprocessing
import os
import uuid
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import subjects


class LoopProcess:
    """A process with a model and a client of S3; not for two threads at once.

    Parameters
    ----------
    variables
        Environment variables of the bulk function, so that model, threads, allocator and S3 are the same.
    bucket
        Of the images and of the result files.
    """

    def __init__(self, variables: Mapping[str, str], bucket: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child, bucket), daemon=True)
        with subjects.environment(variables):
            self._process.start()
        child.close()
        self._receive()

    def run(self, keys: list[str]) -> dict[str, float]:
        """Classify these objects, write one result file, and return the milliseconds by stage; ``all`` is the sum.

        Raises
        ------
        RuntimeError
            If the process failed.
        """
        self._connection.send(keys)
        return self._receive()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def _receive(self) -> dict[str, float]:
        try:
            stages: dict[str, float] = self._connection.recv()
        except EOFError:
            raise RuntimeError("a process of the loop ended") from None
        return stages


def _serve(connection: Connection, bucket: str) -> None:
    import boto3
    from loupe.classifier import Classifier
    from loupe.service import Service
    from loupe.settings import Settings
    from loupe.stages import Stages

    settings = Settings.from_environment(os.environ, Path())
    service = Service(Classifier.load(settings.models_dir / settings.model, settings.limits, settings.threads))
    s3 = boto3.client("s3")
    connection.send({})
    while True:
        try:
            keys = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        stages, lines = Stages(), []
        for key in keys:
            with stages("source"):
                data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            prediction = service.classify(data, stages=stages)
            lines.append(json.dumps({"key": key, "label": prediction.label, "probability": prediction.probability}))
        with stages("store"):
            s3.put_object(Bucket=bucket, Key=f"loop/{uuid.uuid4().hex}.jsonl", Body="\n".join(lines).encode())
        connection.send({**stages.milliseconds, "all": stages.total()})
