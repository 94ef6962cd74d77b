"""Hugging Face: an untrained ViT and its processor as `save_pretrained` writes them, exported by optimum."""

from __future__ import annotations

import os

import cases
import torch
from documented import run_command
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

torch.manual_seed(3)
place = cases.folder()
os.chdir(place)
labels = dict(enumerate(cases.LABELS))
config = ViTConfig(
    hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=224, patch_size=32,
    id2label=labels, label2id={label: number for number, label in labels.items()},
)  # fmt: skip
model, processor = ViTForImageClassification(config).eval(), ViTImageProcessor()


def logits(path):
    with torch.no_grad():
        return model(**processor(Image.open(path), return_tensors="pt")).logits


gain, mean = cases.spread(torch.cat([logits(path) for path in cases.images(place)]).numpy())
with torch.no_grad():
    model.classifier.bias.copy_((model.classifier.bias - torch.from_numpy(mean)) * gain)
    model.classifier.weight *= gain
model.save_pretrained("local")
processor.save_pretrained("local")
run_command("Hugging Face", replace={"google/vit-base-patch16-224": "local"})
options = ["--from", "folder", "--size", "224x224"]
cases.write(place, options, lambda path: logits(path).softmax(1)[0], graph="folder/model.onnx")
