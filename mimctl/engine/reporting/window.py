"""A picture in a window of the screen, by OpenCV."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np

from mimctl.errors import ConfigError

_HINTS = (
    "keep pictures as files instead: `vis_backends=[dict(type='LocalVisBackend')]`, or `--show-dir DIR`",
    "windows need a screen and `opencv-python`; `opencv-python-headless` has none",
)


def show_picture(image: np.ndarray[Any, Any], title: str, wait_time: float = 0.0, continue_key: str = " ") -> None:
    """Show an RGB picture (H, W, 3), uint8, until `continue_key` or Escape is pressed or its window is closed.

    `wait_time`: at most so many seconds; 0 waits as long as it takes. ConfigError where there are no windows.
    """
    import cv2

    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        # OpenCV would end the whole process.
        raise ConfigError("there is no screen to show pictures on", code="no-screen", hints=_HINTS)
    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        cv2.imshow(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        until = time.monotonic() + wait_time if wait_time > 0 else None
        while until is None or time.monotonic() < until:
            if cv2.waitKey(20) & 0xFF in (ord(continue_key), 27):
                break
            if cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
                break
    except cv2.error as err:
        raise ConfigError(
            "this OpenCV cannot open windows", code="no-screen", causes=[str(err).strip()], hints=_HINTS
        ) from err
