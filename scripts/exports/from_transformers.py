"""transformers 5 without optimum: an untrained ConvNeXt and its processor, by `torch.onnx.export`."""

from __future__ import annotations

import os

import cases
import torch
from documented import run_block
from PIL import Image
from transformers import ConvNextConfig, ConvNextForImageClassification, ConvNextImageProcessor

torch.manual_seed(3)
place = cases.folder()
os.chdir(place)
labels = dict(enumerate(cases.LABELS))
config = ConvNextConfig(
    hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1], image_size=224, id2label=labels,
    label2id={label: number for number, label in labels.items()},
)  # fmt: skip
model, processor = ConvNextForImageClassification(config).eval(), ConvNextImageProcessor(size={"shortest_edge": 224})


def logits(path):
    with torch.no_grad():
        return model(**processor(Image.open(path), return_tensors="pt")).logits


gain, mean = cases.spread(torch.cat([logits(path) for path in cases.images(place)]).numpy())
with torch.no_grad():
    model.classifier.bias.copy_((model.classifier.bias - torch.from_numpy(mean)) * gain)
    model.classifier.weight *= gain
model.save_pretrained("local")
processor.save_pretrained("local")
run_block("Hugging Face", {}, 1, replace={"google/vit-base-patch16-224": "local"})
cases.write(place, ["--from", "."], lambda path: logits(path).softmax(1)[0])
