"""The input of a model card: how an image becomes the graph's input tensor.

Parsed without third-party imports, because every cold start imports it. `loupe.image` and `loupe.tensor` implement it;
docs/preprocessing.md lists the equivalents in training libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from loupe.json_fields import Fields

Layout = Literal["NCHW", "NHWC", "NHW"]
Color = Literal["RGB", "BGR", "L"]
Grey = Literal["luma", "average"]
Dtype = Literal["float32", "float16", "float64", "uint8", "int32", "int64"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Fit = Literal["stretch", "crop", "pad"]
Align = Literal["center", "top-left"]
CropOffset = Literal["round", "floor"]
Exif = Literal["apply", "ignore"]
Icc = Literal["ignore", "srgb"]

LAYOUTS = ("NCHW", "NHWC", "NHW")
COLORS = ("RGB", "BGR", "L")
GREYS = ("luma", "average")
DTYPES = ("float32", "float16", "float64", "uint8", "int32", "int64")
INTEGER_DTYPES = ("uint8", "int32", "int64")
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
FITS = ("stretch", "crop", "pad")
ALIGNS = ("center", "top-left")
CROP_OFFSETS = ("round", "floor")
EXIF = ("apply", "ignore")
ICC = ("ignore", "srgb")
# Limits of a card's content; models/card.schema.json has the same.
MAX_SIDE = 4096
MAX_SHORTEST = 8192
# Of scale and mean divided by std, so that 255 times it and a sum stay far inside float32.
_LARGEST_FACTOR = 1e30


class Resize(NamedTuple):
    """How an image is resized to the input's size.

    ``fit`` is ``stretch`` (both sides, aspect ratio lost), ``crop`` (resized, then the centre) or ``pad`` (all of it
    inside, ``pad_color`` around it, in the middle or at the top left by ``align``). Before a crop the image is
    resized to ``size`` (width, height; aspect ratio lost), or its shortest side to ``shortest`` pixels, or else to the
    smallest size that covers the input. With ``crop_first`` the same centre is cut out of the image itself, in whole
    pixels, and then resized. ``crop_offset`` rounds the crop's first pixel where the margin is odd. Filters
    are Pillow's, antialiased but nearest; ``antialias`` false is bilinear between the four nearest pixels.
    """

    filter: Filter = "bilinear"
    fit: Fit = "stretch"
    shortest: int | None = None
    pad_color: tuple[int, int, int] = (0, 0, 0)
    size: tuple[int, int] | None = None
    crop_offset: CropOffset = "round"
    align: Align = "center"
    antialias: bool = True
    crop_first: bool = False


class InputSpec(NamedTuple):
    """The input tensor: ``(pixel * scale - mean) / std`` for each channel, in the tensor's channel order.

    ``jpeg_draft``, ``icc`` and ``exif`` define how a file is decoded (see `loupe.image`): training and serving must
    agree on it, so it is part of the card and not of the function's settings.
    """

    name: str
    width: int
    height: int
    layout: Layout = "NCHW"
    dtype: Dtype = "float32"
    color: Color = "RGB"
    resize: Resize = Resize()
    jpeg_draft: float = 0
    icc: Icc = "ignore"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    exif: Exif = "apply"
    grey: Grey = "luma"
    flatten: bool = False

    @property
    def channels(self) -> int:
        return 1 if self.color == "L" else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item, without the batch axis."""
        if self.flatten:
            return (self.channels * self.height * self.width,)
        if self.layout == "NHW":
            return (self.height, self.width)
        if self.layout == "NCHW":
            return (self.channels, self.height, self.width)
        return (self.height, self.width, self.channels)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in pixels to which an image of this size is resized before crop or pad."""
        if self.resize.fit == "stretch":
            return (self.width, self.height)
        if self.resize.fit == "crop":
            if self.resize.size is not None:
                return self.resize.size
            if self.resize.shortest is not None:
                # torchvision's Resize cuts the longer side's fraction off.
                least_side = min(width, height)
                return (self.resize.shortest * width // least_side, self.resize.shortest * height // least_side)
            ratio = max(self.width / width, self.height / height)
            least = (self.width, self.height)
        else:
            ratio = min(self.width / width, self.height / height)
            least = (1, 1)
        return (max(least[0], round(width * ratio)), max(least[1], round(height * ratio)))

    def cut(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in pixels of the centre that ``crop_first`` takes of an image of this size.

        fastai's Resize: the ratio as a float, its product with each side cut off to a whole number.
        """
        if self.resize.shortest is not None:
            ratio = min(width, height) / self.resize.shortest
        else:
            ratio = min(width / self.width, height / self.height)
        return (max(1, int(ratio * self.width)), max(1, int(ratio * self.height)))


def read_input(item: Fields) -> InputSpec:
    """Read a card's ``input``.

    Raises
    ------
    loupe.card.CardError
        With a sentence that names the key.
    """
    item.only(
        "name", "width", "height", "layout", "flatten", "dtype", "color", "grey", "resize", "jpeg_draft", "icc", "exif",
        "scale", "mean", "std",
    )  # fmt: skip
    color = cast("Color", item.choice("color", COLORS, "RGB"))
    channels = 1 if color == "L" else 3
    spec = InputSpec(
        name=item.text("name"),
        width=item.integer("width", most=MAX_SIDE),
        height=item.integer("height", most=MAX_SIDE),
        layout=cast("Layout", item.choice("layout", LAYOUTS, "NCHW")),
        dtype=cast("Dtype", item.choice("dtype", DTYPES, "float32")),
        color=color,
        resize=_resize(item.child("resize", {})),
        jpeg_draft=item.number("jpeg_draft", 0),
        icc=cast("Icc", item.choice("icc", ICC, "ignore")),
        scale=item.number("scale", 1, fraction=True),
        mean=item.numbers("mean", channels, 0.0),
        std=item.numbers("std", channels, 1.0),
        exif=cast("Exif", item.choice("exif", EXIF, "apply")),
        grey=cast("Grey", item.choice("grey", GREYS, "luma")),
        flatten=item.boolean("flatten", default=False),
    )
    _check_input(item, spec)
    return spec


def _check_input(item: Fields, spec: InputSpec) -> None:
    if any(value <= 0 for value in spec.std):
        raise item.error("std", "must be positive: the pixels are divided by it")
    largest = max(abs(spec.scale), *map(abs, spec.mean)) / min(spec.std)
    if largest > _LARGEST_FACTOR:
        raise item.error(
            "std", f"is too small: scale or mean divided by it is {largest:.3g}, at most {_LARGEST_FACTOR:g}"
        )
    if spec.scale == 0:
        raise item.error("scale", "must not be 0")
    if spec.jpeg_draft and spec.jpeg_draft < 1:
        raise item.error("jpeg_draft", "must be 0 (off) or at least 1 (decode to no less than the resize needs)")
    if spec.jpeg_draft and not spec.resize.antialias:
        raise item.error("jpeg_draft", "must be 0 with resize.antialias false: a scaled JPEG is antialiased")
    plain = spec.scale == 1 and not any(spec.mean) and all(value == 1 for value in spec.std)
    if spec.dtype in INTEGER_DTYPES and not plain:
        raise item.error(
            "dtype", f"is {spec.dtype}, which takes pixels as they are: scale, mean and std must be 1, 0 and 1"
        )
    if spec.color != "L":
        if spec.layout == "NHW":
            raise item.error("layout", "is NHW, which has no axis for colours: color must be L")
        if "grey" in item.value:
            raise item.error("grey", "belongs to color L only")
    shortest, size = spec.resize.shortest, spec.resize.size
    if shortest is not None and shortest < max(spec.width, spec.height):
        raise item.error("resize.shortest", f"must be at least {max(spec.width, spec.height)}, the crop's longer side")
    if size is not None and (size[0] < spec.width or size[1] < spec.height):
        raise item.error("resize.size", f"must be at least [{spec.width}, {spec.height}], the crop")


def _resize(item: Fields) -> Resize:
    item.only("filter", "fit", "shortest", "size", "crop_offset", "crop_first", "pad_color", "align", "antialias")
    kind = cast("Filter", item.choice("filter", FILTERS, "bilinear"))
    fit = cast("Fit", item.choice("fit", FITS, "stretch"))
    for key, owner in _OWNERS.items():
        if key in item.value and fit != owner:
            raise item.error(key, f"belongs to fit {owner!r} only")
    crop_first = item.boolean("crop_first", default=False)
    if crop_first and "size" in item.value:
        raise item.error("crop_first", "true excludes size: nothing is resized before the crop")
    if "shortest" in item.value and "size" in item.value:
        raise item.error("size", "and shortest exclude each other: give one of them")
    antialias = item.boolean("antialias", default=True)
    if not antialias and kind != "bilinear":
        raise item.error("antialias", "false belongs to filter 'bilinear' only")
    red, green, blue = item.numbers("pad_color", 3, 0.0)
    if not all(value.is_integer() and 0 <= value <= 255 for value in (red, green, blue)):
        raise item.error("pad_color", "must be three whole numbers from 0 to 255")
    return Resize(
        filter=kind,
        fit=fit,
        shortest=item.optional_integer("shortest", most=MAX_SHORTEST),
        pad_color=(int(red), int(green), int(blue)),
        size=_size(item) if "size" in item.value else None,
        crop_offset=cast("CropOffset", item.choice("crop_offset", CROP_OFFSETS, "round")),
        align=cast("Align", item.choice("align", ALIGNS, "center")),
        antialias=antialias,
        crop_first=crop_first,
    )


_OWNERS = {
    "shortest": "crop", "size": "crop", "crop_offset": "crop", "crop_first": "crop", "pad_color": "pad", "align": "pad",
}  # fmt: skip


def _size(item: Fields) -> tuple[int, int]:
    value = item.value["size"]
    sides = item.numbers("size", 2, 0.0) if isinstance(value, list) and len(value) == 2 else (0.0, 0.0)
    if not all(side.is_integer() and 1 <= side <= MAX_SHORTEST for side in sides):
        raise item.error("size", f"must be a list of width and height in pixels, each 1 to {MAX_SHORTEST}")
    return (int(sides[0]), int(sides[1]))
