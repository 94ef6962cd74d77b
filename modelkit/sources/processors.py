"""Image processors of Hugging Face transformers: their steps, with the defaults of omitted keys.

From the classes' documented signatures (transformers 4.46 and 5.24, 'Image Processor' in each model's page). Up to
version 4 a plain name is the slow processor (NumPy and PIL) and ...Fast is on torchvision; from 5 on a plain name is on
torchvision and ...Pil is not. Those on torchvision resize tensors: bilinear is equal within 1/255, bicubic is but for
isolated pixels where one side grows and the other shrinks. Before 4.57 they cut odd margins like torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_HALF = (0.5, 0.5, 0.5)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Processor:
    """Defaults of one class; ``shortest``: a single number as size is the shortest edge, not a square."""

    size: int
    resample: int
    mean: tuple[float, ...] = _HALF
    std: tuple[float, ...] = _HALF
    shortest: bool = False
    crop: int | None = None
    crops: bool = False
    crop_pct: float | None = None
    normalizes: bool = True
    flips: bool = False


PROCESSORS = {
    "ViT": Processor(224, 2),
    "Pvt": Processor(224, 2, _IMAGENET_MEAN, _IMAGENET_STD),
    "Siglip": Processor(224, 3),
    "ConvNext": Processor(384, 2, shortest=True, crop_pct=224 / 256),
    "EfficientNet": Processor(346, 0, crop=289),
    "Beit": Processor(256, 3, crop=224, crops=True),
    "DeiT": Processor(256, 3, crop=224, crops=True),
    "CLIP": Processor(224, 3, _CLIP_MEAN, _CLIP_STD, shortest=True, crop=224, crops=True),
    "Bit": Processor(224, 3, _CLIP_MEAN, _CLIP_STD, shortest=True, crop=224, crops=True),
    "Levit": Processor(224, 3, _IMAGENET_MEAN, _IMAGENET_STD, shortest=True, crop=224, crops=True),
    "PoolFormer": Processor(
        224, 3, _IMAGENET_MEAN, _IMAGENET_STD, shortest=True, crop=224, crops=True, crop_pct=0.9
    ),
    "MobileNetV1": Processor(256, 2, shortest=True, crop=224, crops=True),
    "MobileNetV2": Processor(256, 2, shortest=True, crop=224, crops=True),
    "MobileViT": Processor(224, 2, shortest=True, crop=256, crops=True, normalizes=False, flips=True),
}  # fmt: skip

# Defaults that transformers 5 changed. A config that leaves out one of ``CHANGED`` needs its version to be known.
PROCESSORS_5 = PROCESSORS | {
    "Beit": replace(PROCESSORS["Beit"], size=224, crops=False),
    **{name: replace(PROCESSORS[name], resample=3) for name in ("ConvNext", "EfficientNet", "MobileViT", "Pvt")},
}
CHANGED = {
    "Beit": ("size", "do_center_crop"),
    **dict.fromkeys(("ConvNext", "EfficientNet", "MobileViT", "Pvt"), ("resample",)),
}

# The processor of a config that names none, by the model_type of config.json.
BY_MODEL = {
    "vit": "ViT", "vit_msn": "ViT", "swin": "ViT", "swinv2": "ViT", "swiftformer": "ViT", "nat": "ViT", "dinat": "ViT",
    "pvt": "Pvt", "siglip": "Siglip", "convnext": "ConvNext", "convnextv2": "ConvNext", "resnet": "ConvNext",
    "regnet": "ConvNext", "van": "ConvNext", "cvt": "ConvNext", "efficientnet": "EfficientNet", "beit": "Beit",
    "data2vec-vision": "Beit", "deit": "DeiT", "clip": "CLIP", "bit": "Bit", "dinov2": "Bit", "focalnet": "Bit",
    "levit": "Levit", "poolformer": "PoolFormer", "mobilenet_v1": "MobileNetV1", "mobilenet_v2": "MobileNetV2",
    "mobilevit": "MobileViT", "mobilevitv2": "MobileViT",
}  # fmt: skip

# Why the better known of the others cannot be a card.
REASONS = {
    "Perceiver": "it crops before it resizes, by the smaller of both sides",
    "ImageGPT": "it maps colours to clusters",
    "Qwen2VL": "the number of patches depends on the image's size, for a language model",
    "Sam": "it feeds a segmentation model",
    "Detr": "it feeds a detection model",
    "Yolos": "it feeds a detection model",
    "Segformer": "it feeds a segmentation model",
    "VideoMAE": "it takes videos",
    "Donut": "it feeds a document reader",
}
