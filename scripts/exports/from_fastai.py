"""fastai: `vision_learner` on folders of images, its default item transform Resize (a crop)."""

from __future__ import annotations

import os

import cases
import torch
from documented import run_block
from fastai.vision.all import ImageDataLoaders, Normalize, PILImage, Resize, imagenet_stats, resnet18, vision_learner

torch.manual_seed(3)
place = cases.folder()
os.chdir(place)
for label in cases.LABELS:
    (place / "train" / label).mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(cases.images(place)):
        PILImage.create(path).save(place / "train" / label / f"{number}.png")
# `vision_learner` adds this normalisation itself where it downloads pretrained weights, and only then.
normalize = Normalize.from_stats(*imagenet_stats, cuda=False)
dls = ImageDataLoaders.from_folder(
    place / "train", valid_pct=0.4, seed=1, item_tfms=Resize(224), batch_tfms=normalize, bs=4, num_workers=0
)
learn = vision_learner(dls, resnet18, pretrained=False)
learn.model.cpu().eval()


def answer(path):
    with learn.no_bar():
        return learn.predict(path)[2]


logarithms = torch.stack([answer(path).log() for path in cases.images(place)])
gain, mean = cases.spread(logarithms.numpy())
last = learn.model[-1][-1]
with torch.no_grad():
    last.weight *= gain
    last.bias = torch.nn.Parameter(-torch.from_numpy(mean) * gain)
run_block("fastai", {"torch": torch, "learn": learn})
options = ["--labels-file", "labels.json", "--preprocess", "imagenet", "--resize", "bilinear", "--crop-first",
           "--crop-offset", "floor"]  # fmt: skip
cases.write(place, options, answer)
