"""Settings of the whole process that a config asks for (`env_cfg`)."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Mapping
from typing import Any

import torch

from mimctl.errors import ConfigError, nearest

_KEYS: Mapping[str, tuple[str, ...]] = {
    "cudnn_benchmark": (),
    "mp_cfg": ("mp_start_method", "opencv_num_threads"),
    "dist_cfg": ("backend", "timeout"),
    "resource_limit": (),
}


def check_environment(env_cfg: Mapping[str, Any]) -> None:
    """Raise ConfigError for a key of `env_cfg` that means nothing."""
    for key, value in env_cfg.items():
        _known(key, list(_KEYS), "env_cfg")
        for inner in value if isinstance(value, Mapping) else ():
            _known(inner, list(_KEYS[key]), f"env_cfg.{key}")
    timeout = dict(env_cfg.get("dist_cfg") or {}).get("timeout")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0):
        raise ConfigError(
            f"`env_cfg.dist_cfg.timeout` is a number of seconds above 0, not {timeout!r}", code="bad-argument"
        )


def apply_environment(env_cfg: Mapping[str, Any]) -> None:
    """Set cuDNN's benchmark mode, how workers start, and OpenCV's threads in this process."""
    torch.backends.cudnn.benchmark = bool(env_cfg.get("cudnn_benchmark", False))
    processes = env_cfg.get("mp_cfg") or {}
    method = processes.get("mp_start_method")
    if method is not None and multiprocessing.get_start_method(allow_none=True) != method:
        multiprocessing.set_start_method(method, force=True)
    cv2: Any = sys.modules.get("cv2")
    if cv2 is not None and processes.get("opencv_num_threads") is not None:
        cv2.setNumThreads(processes["opencv_num_threads"])


def _known(key: str, keys: list[str], path: str) -> None:
    if key not in keys:
        near = nearest(key, keys)
        hints = [f"did you mean `{near[0]}`?"] if near else [f"it has {', '.join(f'`{each}`' for each in keys)}"]
        raise ConfigError(f"`{path}` has no option `{key}`", code="bad-argument", hints=hints)
