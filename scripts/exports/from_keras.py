"""Keras 3: channels last, pixels by `load_img` (nearest), a softmax; exported by itself and as a SavedModel."""

from __future__ import annotations

import os
import sys

import cases
import keras
import numpy as np
from documented import run_block, run_command

keras.utils.set_random_seed(3)
place = cases.folder()
os.chdir(place)
layers = keras.layers
body = keras.Sequential([
    keras.Input((96, 96, 3)), layers.Conv2D(16, 5, strides=2), layers.BatchNormalization(), layers.ReLU(),
    layers.GlobalMaxPooling2D(), layers.Dropout(0.5),
])  # fmt: skip
last = layers.Dense(len(cases.LABELS))
logits = keras.Sequential([body, last])


def pixels(path):
    image = keras.utils.load_img(path, target_size=(96, 96))
    return keras.utils.img_to_array(image)[None] / 127.5 - 1


values = np.concatenate([np.asarray(logits(pixels(path), training=False)) for path in cases.images(place)])
gain, mean = cases.spread(values)
weight, bias = last.get_weights()
last.set_weights([weight * gain, (bias - mean) * gain])
model = keras.Sequential([logits, layers.Softmax()])
model(np.zeros((1, 96, 96, 3), np.float32))
if sys.argv[2:] == ["saved-model"]:
    model.export("saved")
    run_command("Keras", 1)
else:
    run_block("Keras", {"model": model})
options = ["--labels", ",".join(cases.LABELS), "--preprocess", "minus-one-one", "--resize", "nearest"]
cases.write(place, options, lambda path: np.asarray(model(pixels(path), training=False))[0])
