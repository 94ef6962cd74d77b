"""The training itself: one network, one seed."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from augment import augmented, mixed
from network import HairNet
from pictures import SPEC
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True)
class Recipe:
    """Every number of the training."""

    epochs: int = 80
    batch: int = 32
    learning_rate: float = 4e-3
    warm_up: float = 0.2
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    mixup_until: float = 0.9
    """Share of the epochs with mixup; the last ones see whole pictures."""
    average_decay: float = 0.997
    """Of the exponential moving average over the weights, which is what ships."""
    canvas: int = 240
    """Side in pixels of the kept pictures; training crops and turns inside it and comes down to the served size."""
    bfloat16: bool = True
    threads: int = 1


@dataclass
class Data:
    """Training canvases ``(N, side, side, 3)`` and targets ``(N,)``; validation tensors as served."""

    pixels: np.ndarray
    targets: np.ndarray
    validation: np.ndarray
    validation_targets: np.ndarray
    digest: str


def _average(into: HairNet, network: HairNet, decay: float) -> None:
    for kept, new in zip(into.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def validate(network: HairNet, data: Data) -> tuple[float, float]:
    """Return accuracy and mean log loss on the validation photos."""
    network.eval()
    inputs, targets = torch.from_numpy(data.validation), torch.from_numpy(data.validation_targets)
    with torch.inference_mode():
        logits = network(inputs.contiguous(memory_format=torch.channels_last)).squeeze(1)
    right = ((logits > 0) == (targets > 0.5)).float().mean()
    return float(right), float(binary_cross_entropy_with_logits(logits, targets))


def train(data: Data, recipe: Recipe, seed: int) -> HairNet:
    """Train one network and return the moving average of its weights."""
    torch.manual_seed(seed)
    pixels = torch.from_numpy(np.ascontiguousarray(data.pixels.transpose(0, 3, 1, 2)))
    targets = torch.from_numpy(data.targets)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (SPEC.mean, SPEC.std))
    network = HairNet().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    steps = len(pixels) // recipe.batch
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, epochs=recipe.epochs, steps_per_epoch=steps, pct_start=recipe.warm_up
    )
    done = 0
    for epoch in range(recipe.epochs):
        began, total = time.monotonic(), 0.0
        network.train()
        for chosen in torch.randperm(len(pixels))[: steps * recipe.batch].view(steps, recipe.batch):
            inputs, wanted = augmented(pixels[chosen].float() / 255, SPEC.width), targets[chosen]
            if epoch < recipe.mixup_until * recipe.epochs:
                inputs, wanted = mixed(inputs, wanted)
            wanted = wanted * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
            inputs = ((inputs - mean) / std).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                logits = network(inputs)
            loss = binary_cross_entropy_with_logits(logits.float().squeeze(1), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total, done = total + loss.item(), done + 1
            _average(average, network, min(recipe.average_decay, (1 + done) / (10 + done)))
        line = f"seed {seed}  epoch {epoch + 1:3}/{recipe.epochs}  loss {total / steps:.4f}"
        if epoch % 5 == 4 or epoch + 1 == recipe.epochs:
            accuracy, log_loss = validate(average, data)
            line += f"  validation {accuracy:.3f}, log loss {log_loss:.3f}"
        print(f"{line}  {time.monotonic() - began:.0f} s", flush=True)
    return average
