"""The size of a picture file, read from its header."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from mimctl.engine.files import fileio
from mimctl.errors import MimctlError

ORIENTATION = 0x0112  # EXIF tag; 5 to 8 turn the picture by a quarter


def picture_size(path: str, backend_args: Mapping[str, Any] | None = None) -> tuple[int, int]:
    """Return (height, width) as the picture is shown, i.e. after its EXIF rotation.

    Raises MimctlError[missing-file] or MimctlError[unreadable-image].
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if isinstance(fileio.backend_for(path, backend_args), fileio.LocalBackend):
            if not fileio.exists(path):
                raise fileio.missing_file(path)
            opened = Image.open(path)
        else:
            opened = Image.open(io.BytesIO(fileio.get(path, backend_args)))
        with opened:
            width, height = opened.size
            turned = opened.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    except (UnidentifiedImageError, OSError) as err:
        raise MimctlError(f"{path} is not a readable image", code="unreadable-image", causes=[str(err)]) from err
    return (width, height) if turned else (height, width)
