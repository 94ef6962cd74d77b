"""timm: an architecture with the configuration of its published weights, through `add --from`."""

from __future__ import annotations

import os

import cases
import timm
import torch
from documented import run_block
from PIL import Image

torch.manual_seed(3)
place = cases.folder()
os.chdir(place)


def spread(model):
    """Return the model with its last layer scaled, and timm's transform for evaluation."""
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model.pretrained_cfg))
    with torch.no_grad():
        logits = torch.cat([model(transform(Image.open(path))[None]) for path in cases.images(place)])
        gain, mean = cases.spread(logits.numpy())
        model.fc.weight *= gain
        model.fc.bias.copy_((model.fc.bias - torch.from_numpy(mean)) * gain)
    return model, transform


# The published weights are not downloaded: the same network, untrained, of five labels.
changes = {"pretrained=True": f"pretrained=False, num_classes={len(cases.LABELS)}"}
changes |= {").eval()\n": ").eval()\nmodel, transform = spread(model)\n"}
names = {"spread": spread}
run_block("timm", names, replace=changes)
model, transform = names["model"], names["transform"]
with torch.no_grad():
    cases.write(
        place, ["--from", ".", "--labels", ",".join(cases.LABELS)],
        lambda path: model(transform(Image.open(path))[None]).softmax(1)[0],
    )  # fmt: skip
