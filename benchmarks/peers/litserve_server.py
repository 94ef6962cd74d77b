"""Peer (b): LitServe, two workers. ``python litserve_server.py PORT``."""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

import litserve as ls
import onnxruntime as ort
from preprocess import prepare, side_of


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.session = ort.InferenceSession(os.environ["PEER_MODEL"], providers=["CPUExecutionProvider"])
        self.input_name, self.side = self.session.get_inputs()[0].name, side_of(self.session)

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image"])

    def predict(self, data: bytes) -> float:
        return float(self.session.run(None, {self.input_name: prepare(data, self.side)})[0][0][0])

    def encode_response(self, output: float) -> dict[str, Any]:
        return {"prediction": output}


if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu", workers_per_device=2, timeout=30)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
