"""Ultralytics: an untrained classifier; labels and size travel in the graph's metadata."""

from __future__ import annotations

import os

import cases
import torch
from documented import run_command
from PIL import Image
from ultralytics import YOLO
from ultralytics.data.augment import classify_transforms

torch.manual_seed(3)
place = cases.folder()
os.chdir(place)
yolo = YOLO("yolo11n-cls.yaml", task="classify")
names = dict(enumerate(cases.LABELS))
yolo.model.model[-1].linear = torch.nn.Linear(yolo.model.model[-1].linear.in_features, len(names))
yolo.model.names, yolo.model.yaml["nc"] = names, len(names)
last = yolo.model.model[-1].linear
# Untrained batch normalisation lets the signal fade to the same number for every image.
batch = torch.stack([classify_transforms(224)(Image.open(path)) for path in cases.images(place)])
for module in yolo.model.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        module.momentum = None
with torch.no_grad():
    yolo.model.train()(batch)
yolo.model.eval()


def answer(path):
    return yolo.predict(path, imgsz=224, verbose=False)[0].probs.data


logarithms = torch.stack([answer(path).log() for path in cases.images(place)])
gain, mean = cases.spread(logarithms.numpy())
with torch.no_grad():
    last.bias.copy_((last.bias - torch.from_numpy(mean)) * gain)
    last.weight *= gain
yolo.predictor = None
yolo.save("yolo11n-cls.pt")
run_command("Ultralytics")
yolo = YOLO("yolo11n-cls.pt")
cases.write(place, [], answer, graph="yolo11n-cls.onnx")
