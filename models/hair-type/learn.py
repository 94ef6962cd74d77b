"""Fine-tune the upper blocks of one model on the activations of the frozen ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from backbone import Top
from recipes import Recipe
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

_BATCH = 32


@dataclass(frozen=True)
class Examples:
    """Activations ``(views, N, C, h, w)`` of all photos, their targets ``(N,)`` and the teacher's logits
    ``(views, N)``, which only the rows that are trained on need to hold.
    """

    activations: np.ndarray
    targets: np.ndarray
    teacher: np.ndarray | None = None


def _batch(activations: np.ndarray, view: Tensor, rows: Tensor) -> Tensor:
    picked = np.stack([activations[v, r] for v, r in zip(view.tolist(), rows.tolist(), strict=True)])
    return torch.from_numpy(picked.astype(np.float32)).contiguous(memory_format=torch.channels_last)


def _average(into: Top, network: Top, decay: float) -> None:
    for average, new in zip(into.state_dict().values(), network.state_dict().values(), strict=True):
        if average.is_floating_point():
            average.lerp_(new, 1 - decay)
        else:
            average.copy_(new)


def _targets(examples: Examples, recipe: Recipe, view: Tensor, rows: Tensor) -> Tensor:
    labels = torch.from_numpy(examples.targets)[rows]
    labels = labels * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
    if examples.teacher is None:
        return labels
    taught = torch.sigmoid(torch.from_numpy(examples.teacher)[view, rows])
    return torch.lerp(labels, taught, recipe.teacher_share)


def train(examples: Examples, rows: np.ndarray, recipe: Recipe, seed: int) -> Top:
    """Fine-tune on the photos ``rows`` and return the moving average of the weights.

    Every batch takes a random view of each photo, mirrored half of the time: the frozen blocks treat a mirrored photo
    almost as a photo mirrored afterwards.
    """
    torch.manual_seed(seed)
    network = Top(recipe).to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    photos, steps = torch.from_numpy(rows), len(rows) // recipe.batch
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, pct_start=recipe.warm_up
    )
    network.train()
    done = 0
    for _ in range(recipe.epochs):
        for chosen in photos[torch.randperm(len(rows))][: steps * recipe.batch].view(steps, recipe.batch):
            view = torch.randint(0, len(examples.activations), (recipe.batch,))
            inputs = _batch(examples.activations, view, chosen)
            mirrored = torch.rand(recipe.batch) < 0.5
            inputs[mirrored] = inputs[mirrored].flip(-1)
            logits = network(inputs).squeeze(1)
            loss = binary_cross_entropy_with_logits(logits, _targets(examples, recipe, view, chosen))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            _average(average, network, min(recipe.average_decay, (1 + done) / (10 + done)))
    return average


def answers(top: Top, activations: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Logits of the photos ``rows`` for each view of ``activations (views, N, C, h, w)``; ``(views, len(rows))``."""
    top.eval()
    result = np.empty((len(activations), len(rows)), np.float32)
    with torch.inference_mode():
        for number in range(len(activations)):
            for start in range(0, len(rows), _BATCH):
                part = torch.from_numpy(rows[start : start + _BATCH])
                inputs = _batch(activations, torch.full_like(part, number), part)
                result[number, start : start + _BATCH] = top(inputs).squeeze(1).numpy()
    return result
