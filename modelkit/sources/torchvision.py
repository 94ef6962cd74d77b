"""The documented transforms of torchvision's weights, by their name: an exported graph does not contain them."""

from __future__ import annotations

import difflib

from modelkit.errors import ModelkitError
from modelkit.sources.source import Source

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_PLAIN = (256, 224, "bilinear")
_NEW_RECIPE = (232, 224, "bilinear")
# resize_size (the shortest side), crop_size and interpolation of `ImageClassification` in each model's documentation.
TRANSFORMS: dict[str, tuple[int, int, str]] = {
    **{f"{model}_Weights.IMAGENET1K_V1": _PLAIN for model in (
        "AlexNet", "VGG11", "VGG11_BN", "VGG13", "VGG13_BN", "VGG16", "VGG16_BN", "VGG19", "VGG19_BN", "GoogLeNet",
        "DenseNet121", "DenseNet161", "DenseNet169", "DenseNet201", "SqueezeNet1_0", "SqueezeNet1_1", "ResNet18",
        "ResNet34", "ResNet50", "ResNet101", "ResNet152", "ResNeXt50_32X4D", "ResNeXt101_32X8D", "Wide_ResNet50_2",
        "Wide_ResNet101_2", "MobileNet_V2", "MobileNet_V3_Small", "MobileNet_V3_Large", "RegNet_Y_16GF", "ViT_B_16",
        "ViT_B_32", "ViT_L_32",
    )},
    **{f"{model}_Weights.IMAGENET1K_V2": _NEW_RECIPE for model in (
        "ResNet50", "ResNet101", "ResNet152", "ResNeXt50_32X4D", "ResNeXt101_32X8D", "Wide_ResNet50_2",
        "Wide_ResNet101_2", "MobileNet_V2", "MobileNet_V3_Large", "RegNet_Y_16GF",
    )},
    "Inception_V3_Weights.IMAGENET1K_V1": (342, 299, "bilinear"),
    "EfficientNet_B0_Weights.IMAGENET1K_V1": (256, 224, "bicubic"),
    "EfficientNet_B1_Weights.IMAGENET1K_V1": (256, 240, "bicubic"),
    "EfficientNet_B1_Weights.IMAGENET1K_V2": (255, 240, "bilinear"),
    "EfficientNet_B2_Weights.IMAGENET1K_V1": (288, 288, "bicubic"),
    "EfficientNet_B3_Weights.IMAGENET1K_V1": (320, 300, "bicubic"),
    "EfficientNet_B4_Weights.IMAGENET1K_V1": (384, 380, "bicubic"),
    "EfficientNet_B5_Weights.IMAGENET1K_V1": (456, 456, "bicubic"),
    "EfficientNet_B6_Weights.IMAGENET1K_V1": (528, 528, "bicubic"),
    "EfficientNet_B7_Weights.IMAGENET1K_V1": (600, 600, "bicubic"),
    "EfficientNet_V2_S_Weights.IMAGENET1K_V1": (384, 384, "bilinear"),
    "EfficientNet_V2_M_Weights.IMAGENET1K_V1": (480, 480, "bilinear"),
    "EfficientNet_V2_L_Weights.IMAGENET1K_V1": (480, 480, "bicubic"),
    "ConvNeXt_Tiny_Weights.IMAGENET1K_V1": (236, 224, "bilinear"),
    "ConvNeXt_Small_Weights.IMAGENET1K_V1": (230, 224, "bilinear"),
    "ConvNeXt_Base_Weights.IMAGENET1K_V1": (232, 224, "bilinear"),
    "ConvNeXt_Large_Weights.IMAGENET1K_V1": (232, 224, "bilinear"),
    "Swin_T_Weights.IMAGENET1K_V1": (232, 224, "bicubic"),
    "Swin_S_Weights.IMAGENET1K_V1": (246, 224, "bicubic"),
    "Swin_B_Weights.IMAGENET1K_V1": (238, 224, "bicubic"),
    "ViT_L_16_Weights.IMAGENET1K_V1": (242, 224, "bilinear"),
    "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1": (384, 384, "bicubic"),
    "ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1": (512, 512, "bicubic"),
    "ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1": (518, 518, "bicubic"),
    **{f"{model}_Weights.IMAGENET1K_SWAG_LINEAR_V1": (224, 224, "bicubic")
       for model in ("ViT_B_16", "ViT_L_16", "ViT_H_14")},
}  # fmt: skip


def read_weights(name: str) -> Source:
    """Return the transform of ``ResNet50_Weights.IMAGENET1K_V2`` and the like.

    Raises
    ------
    ModelkitError
        If the name is not known here; the ones that are spelled alike are named.
    """
    names = {key.lower(): key for key in TRANSFORMS}
    key = names.get(name.strip().lower())
    if key is None:
        similar = difflib.get_close_matches(name.strip().lower(), names, n=3)
        hint = f"; perhaps {', '.join(names[item] for item in similar)}" if similar else ""
        raise ModelkitError(
            f"--weights {name[:80]} is not known{hint}. torchvision's page of the model has its resize_size, crop_size "
            "and interpolation: --shortest, --size and --resize."
        )
    shortest, crop, interpolation = TRANSFORMS[key]
    mean, std = _HALF if key.startswith("EfficientNet_V2_L_") else _IMAGENET
    answers = {
        "resize": interpolation, "antialias": True, "size": (crop, crop), "fit": "crop", "shortest": shortest,
        "crop_offset": "round", "scale": "1/255", "mean": mean, "std": std, "color": "RGB",
    }  # fmt: skip
    note = "for a network that was trained further, only if its own validation kept these transforms"
    return Source(f"--weights {key}", "torchvision ImageClassification", answers, (note,))
