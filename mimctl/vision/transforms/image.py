"""Reading and resizing images as arrays (H, W, C) in BGR order, as OpenCV and OpenMMLab have them."""

from __future__ import annotations

import io
import os
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mimctl.engine.files import fileio
from mimctl.errors import ConfigError, MimctlError

Image = NDArray[Any]
ImageBackend = Literal["cv2", "pillow"]

COLOR_FLAGS = {
    "color": cv2.IMREAD_COLOR,
    "grayscale": cv2.IMREAD_GRAYSCALE,
    "unchanged": cv2.IMREAD_UNCHANGED,
    "color_ignore_orientation": cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_COLOR,
    "grayscale_ignore_orientation": cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_GRAYSCALE,
}
INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


def read_image(
    path: str | os.PathLike[str],
    *,
    color_type: str = "color",
    backend: str = "cv2",
    backend_args: fileio.BackendArgs = None,
) -> Image:
    """Return the image of a file, uint8 (H, W, 3) BGR for `color`.

    Raises MimctlError[missing-file] and MimctlError[unreadable-image], which name the file.
    """
    data = fileio.get(path, backend_args)
    image = decode_image(data, color_type=color_type, backend=backend)
    if image is None:
        causes = ["the file is empty"] if not data else [f"{len(data)} bytes that are no picture OpenCV knows"]
        raise MimctlError(f"{path} is not a readable image", code="unreadable-image", causes=causes)
    return image


def decode_image(data: bytes, *, color_type: str = "color", backend: str = "cv2") -> Image | None:
    """Return the image in encoded bytes, or None where they hold none."""
    if color_type not in COLOR_FLAGS:
        raise ConfigError(
            f"unknown color_type `{color_type}`", code="bad-argument", causes=[f"known: {', '.join(COLOR_FLAGS)}"]
        )
    if backend == "pillow":
        return _decode_with_pillow(data, color_type)
    if backend not in ("cv2", "turbojpeg", "tifffile"):
        raise ConfigError(f"unknown image back end `{backend}`", code="bad-argument", causes=["known: cv2, pillow"])
    if not data:
        return None
    try:
        image: Image | None = cv2.imdecode(np.frombuffer(data, np.uint8), COLOR_FLAGS[color_type])
    except cv2.error:
        return None
    return image


def resize_image(
    image: Image, size: tuple[int, int], *, interpolation: str = "bilinear", backend: str = "cv2"
) -> Image:
    """Return the image resized to (width, height); the image itself where it has that size."""
    if (image.shape[1], image.shape[0]) == tuple(size):
        return image
    if backend == "pillow":
        from PIL import Image as PilImage

        how = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}[interpolation]
        return np.array(PilImage.fromarray(image).resize(size, how))
    return cv2.resize(image, size, interpolation=INTERPOLATIONS[interpolation])


def rescaled_size(size: tuple[int, int], scale: float | tuple[float, float]) -> tuple[int, int]:
    """Return (width, height) after resizing `size` with its ratio kept.

    `scale` is a factor, or two edges (in either order) that the long and the short edge must not exceed.
    """
    width, height = size
    if isinstance(scale, int | float):
        factor = float(scale)
    else:
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(width * factor + 0.5), int(height * factor + 0.5)


def pad_image(image: Image, shape: tuple[int, int], value: Any, *, mode: str = "constant") -> Image:
    """Return the image extended at the right and the bottom to (height, width), where it is smaller."""
    down, right = max(shape[0] - image.shape[0], 0), max(shape[1] - image.shape[1], 0)
    if not down and not right:
        return image
    kinds = {
        "constant": cv2.BORDER_CONSTANT,
        "edge": cv2.BORDER_REPLICATE,
        "reflect": cv2.BORDER_REFLECT_101,
        "symmetric": cv2.BORDER_REFLECT,
    }
    return cv2.copyMakeBorder(image, 0, down, 0, right, kinds[mode], value=value)


def blank_image(height: int, width: int, value: Any, like: Image) -> Image:
    """Return an image of one colour with the channels and dtype of another."""
    canvas = np.empty((height, width, *like.shape[2:]), like.dtype)
    canvas[:] = np.asarray(value).astype(like.dtype)
    return canvas


def _decode_with_pillow(data: bytes, color_type: str) -> Image | None:
    from PIL import Image as PilImage
    from PIL import ImageOps, UnidentifiedImageError

    try:
        with PilImage.open(io.BytesIO(data)) as opened:
            if color_type == "unchanged":
                array = np.array(opened)
                return array[..., [2, 1, 0, *range(3, array.shape[2])]] if array.ndim == 3 else array
            upright = opened if "ignore_orientation" in color_type else ImageOps.exif_transpose(opened)
            if color_type.startswith("grayscale"):
                return np.array(upright.convert("L"))
            return np.ascontiguousarray(np.array(upright.convert("RGB"))[..., ::-1])
    except (UnidentifiedImageError, OSError):
        return None
