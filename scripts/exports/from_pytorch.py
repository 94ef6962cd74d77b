"""Plain PyTorch: a custom network, pixels by PIL, and a sigmoid over two labels."""

from __future__ import annotations

import os
from types import SimpleNamespace

import cases
import numpy as np
import torch
from documented import run_block
from PIL import Image
from torch import nn

torch.manual_seed(3)
place = cases.folder()
os.chdir(place)
labels = ("curly", "straight")
last = nn.Linear(16, 1)
model = nn.Sequential(
    nn.Conv2d(3, 16, 5, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
    nn.Dropout(0.5), last,
).eval()  # fmt: skip


def tensor(path):
    image = Image.open(path).convert("RGB").resize((200, 200), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1) / 255)[None]


with torch.no_grad():
    gain, mean = cases.spread(torch.cat([model(tensor(path)) for path in cases.images(place)]).numpy())
    last.bias.copy_((last.bias - torch.from_numpy(mean)) * gain)
    last.weight *= gain

# The documented example input has 224 x 224 pixels; this network pools whatever it gets, and is exported for 200.
names = {"torch": torch, "model": model, "dataset": SimpleNamespace(classes=list(labels))}
run_block("PyTorch", names, replace={"224, 224": "200, 200"})
options = ["--labels-file", "labels.json", "--preprocess", "unit", "--resize", "bilinear"]


def answer(path):
    with torch.no_grad():
        second = float(model(tensor(path)).sigmoid())
    return [1 - second, second]


cases.write(place, options, answer, labels)
