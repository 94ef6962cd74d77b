"""Peer (d): FastAPI and uvicorn. ``uvicorn fastapi_server:app --workers 2``."""

from __future__ import annotations

import os

import onnxruntime as ort
from fastapi import FastAPI, Request
from preprocess import prepare, side_of

session = ort.InferenceSession(os.environ["PEER_MODEL"], providers=["CPUExecutionProvider"])
input_name, side = session.get_inputs()[0].name, side_of(session)
app = FastAPI()


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
async def predict(request: Request) -> dict[str, float]:
    data = await request.body()
    return {"prediction": float(session.run(None, {input_name: prepare(data, side)})[0][0][0])}
