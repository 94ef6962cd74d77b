"""Every number of the training: one recipe for each of the two models. No torch here, so that tests can read it."""

from __future__ import annotations

from dataclasses import dataclass

from loupe.card import InputSpec, Resize

LABELS = ("curly", "straight")


@dataclass(frozen=True)
class Recipe:
    """How a model is made from EfficientNet-Lite0: blocks 0 to ``frozen`` keep their ImageNet weights, the blocks after
    them up to ``last`` are fine-tuned, the rest is cut off.
    """

    name: str
    version: str
    description: str
    side: int
    """Width and height of the input in pixels."""
    frozen: int
    last: int
    epochs: int
    max_bytes: int
    teacher_share: float = 0.0
    """Of the target; the rest is the smoothed label. 0: no teacher."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warm_up: float = 0.2
    batch: int = 32
    dropout: float = 0.2
    label_smoothing: float = 0.05
    average_decay: float = 0.99
    """Of the exponential moving average over the weights, which is what ships."""

    @property
    def spec(self) -> InputSpec:
        """The input, as the card describes it."""
        return InputSpec(
            name="input",
            width=self.side,
            height=self.side,
            layout="NCHW",
            dtype="float32",
            color="RGB",
            resize=Resize(filter="bilinear", fit="stretch"),
            jpeg_draft=2,
            scale=1 / 255,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )


LARGE = Recipe(
    name="hair-type-large",
    version="1.0.0",
    description="Tells curly from straight hair in a photo of one person, with more pixels and blocks than hair-type.",
    side=160,
    frozen=4,
    last=11,
    epochs=10,
    max_bytes=5_000_000,
)
SMALL = Recipe(
    name="hair-type",
    version="1.1.0",
    description="Tells curly from straight hair in a photo of one person.",
    side=112,
    frozen=4,
    last=8,
    epochs=16,
    max_bytes=1_000_000,
    teacher_share=0.7,
)
VIEWS = 10
"""Views of each photo: the photo as served, and nine augmented ones."""
CANVAS = 320
"""Side in pixels of the photos that views are cut from."""
VIEW_SIDE = 224
"""Side in pixels of a view before it is resized to a model's input."""
FOLDS = 5
FOLD_SEED = 1
VIEW_SEED = 100
TRAINING_SEED = 1
