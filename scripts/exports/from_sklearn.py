"""scikit-learn: flattened grey pixels, with ZipMap (the default) and without it, as documented."""

from __future__ import annotations

import os

import cases
import numpy as np
import skl2onnx
from documented import run_block
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

place = cases.folder()
os.chdir(place)


def pixels(path):
    image = Image.open(path).convert("L").resize((16, 12), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32).reshape(1, -1) / 255


random = np.random.default_rng(3)
y = np.arange(200) % len(cases.LABELS)
X = random.random((200, 192)).astype(np.float32)
X[np.arange(200)[:, None], (y[:, None] * 30 + np.arange(30))] *= 0.7
classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, np.array(cases.LABELS)[y])
options = ["--size", "16x12", "--color", "L", "--preprocess", "unit", "--resize", "bicubic"]
plain = len(os.sys.argv) > 2 and os.sys.argv[2] == "zipmap"
if plain:
    proto = skl2onnx.to_onnx(classifier, X[:1])
    (place / "model.onnx").write_bytes(proto.SerializeToString())
else:
    run_block("scikit-learn", {"classifier": classifier, "X": X})
    options += ["--labels", ",".join(map(str, classifier.classes_))]
cases.write(place, options, lambda path: classifier.predict_proba(pixels(path))[0])
