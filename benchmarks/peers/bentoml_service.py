"""Peer (c): BentoML, two workers. ``bentoml serve bentoml_service:Classifier --port PORT``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import bentoml
import onnxruntime as ort
from bentoml.validators import ContentType
from preprocess import prepare, side_of


@bentoml.service(workers=2, traffic={"timeout": 30})
class Classifier:
    def __init__(self) -> None:
        self.session = ort.InferenceSession(os.environ["PEER_MODEL"], providers=["CPUExecutionProvider"])
        self.input_name, self.side = self.session.get_inputs()[0].name, side_of(self.session)

    @bentoml.api
    def predict(self, image: Annotated[Path, ContentType("image/jpeg")]) -> dict[str, float]:
        batch = prepare(image.read_bytes(), self.side)
        return {"prediction": float(self.session.run(None, {self.input_name: batch})[0][0][0])}
