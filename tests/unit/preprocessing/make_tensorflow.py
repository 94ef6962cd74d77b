"""Make tensorflow.npz: what tf.image and Keras' own layers and loaders make of an image.

Run it where TensorFlow 2.21 and Keras 3.15 are installed:

    python tests/unit/preprocessing/make_tensorflow.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

HERE = Path(__file__).parent
SIZES = {"down": (13, 9), "far-down": (5, 4), "up": (90, 80), "mixed": (20, 64)}


def main() -> None:
    pixels = np.load(HERE / "references.npz")["picture"]
    arrays = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "class" / "picture.png"
        file.parent.mkdir()
        Image.fromarray(pixels).save(file)
        for name, (width, height) in SIZES.items():
            size = (height, width)
            arrays[f"image-plain-{name}"] = tf.image.resize(pixels, size).numpy()
            arrays[f"image-antialias-{name}"] = tf.image.resize(pixels, size, antialias=True).numpy()
            arrays[f"layer-{name}"] = np.asarray(keras.layers.Resizing(height, width)(pixels[None].astype(np.float32)))[
                0
            ]
            arrays[f"load-{name}"] = np.asarray(keras.utils.load_img(file, target_size=size))
            arrays[f"load-bilinear-{name}"] = np.asarray(
                keras.utils.load_img(file, target_size=size, interpolation="bilinear")
            )
            data = keras.utils.image_dataset_from_directory(folder, image_size=size, verbose=False)
            arrays[f"dataset-{name}"] = next(iter(data))[0].numpy()[0]
    arrays["center"] = np.asarray(keras.layers.CenterCrop(21, 27)(pixels[None].astype(np.float32)))[0]
    arrays["grey"] = tf.image.rgb_to_grayscale(pixels).numpy()[:, :, 0]
    arrays["rescaled"] = np.asarray(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels[None, :9, :13]))[0]
    arrays["mobilenet"] = keras.applications.mobilenet_v2.preprocess_input(pixels[:9, :13].astype(np.float32))
    arrays["resnet"] = keras.applications.resnet50.preprocess_input(pixels[:9, :13].astype(np.float32))
    np.savez_compressed(HERE / "tensorflow.npz", **{key: np.asarray(value) for key, value in arrays.items()})


if __name__ == "__main__":
    main()
