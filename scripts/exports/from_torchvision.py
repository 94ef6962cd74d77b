"""torchvision: a torchvision network with its weights' documented transforms, and ImageFolder's usual ones."""

from __future__ import annotations

import os
from types import SimpleNamespace

import cases
import torch
import torchvision
from documented import run_block
from PIL import Image
from torchvision.models import MobileNet_V3_Small_Weights

torch.manual_seed(3)
place = cases.folder()
os.chdir(place)
model = torchvision.models.mobilenet_v3_small(num_classes=len(cases.LABELS)).eval()
transforms = MobileNet_V3_Small_Weights.IMAGENET1K_V1.transforms()


def tensor(path):
    return transforms(Image.open(path))[None]


with torch.no_grad():
    logits = torch.cat([model(tensor(path)) for path in cases.images(place)])
    gain, mean = cases.spread(logits.numpy())
    model.classifier[-1].weight *= gain
    model.classifier[-1].bias.copy_((model.classifier[-1].bias - torch.from_numpy(mean)) * gain)

run_block("PyTorch", {"torch": torch, "model": model, "dataset": SimpleNamespace(classes=list(cases.LABELS))})
options = ["--labels-file", "labels.json", "--weights", "MobileNet_V3_Small_Weights.IMAGENET1K_V1"]
with torch.no_grad():
    cases.write(place, options, lambda path: model(tensor(path)).softmax(1)[0])
