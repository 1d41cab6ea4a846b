"""Changes the image size of a config: every scale, crop and pad of its pipelines in proportion."""

from __future__ import annotations

from typing import Any

from mimctl.config.config import Config
from mimctl.config.values import ConfigDict
from mimctl.errors import ConfigError

Overrides = dict[str, Any]
_SIZE_KEYS = frozenset(
    {
        "border",
        "crop_size",
        "image_size",
        "img_scale",
        "img_scales",
        "input_size",
        "random_size_range",
        "scale",
        "scales",
        "size",
    }
)
_STRIDE = 32
_HINT = "give the longer side in pixels, e.g. `--imgsz 640`"


def set_image_size(config: Config, size: int) -> Overrides:
    """Return the overrides that make `size` pixels (32 or more) the longer side of the images the model sees.

    The last size that the test pipeline resizes or crops to is taken as the present one; every other size of the
    pipelines, of hooks that switch pipelines and of batch augmentations changes by the same factor, staying a multiple
    of 32 where it was one. Raises ConfigError[not-applicable] where no pipeline resizes.
    """
    if size < _STRIDE:
        raise ConfigError(f"an image size must be at least {_STRIDE}", code="not-applicable", hints=[_HINT])
    old = _present_size(config)
    if old is None:
        raise ConfigError("no pipeline of this config resizes to a fixed size", code="not-applicable")
    changes: Overrides = {}
    for key, value in config.items():
        if key == "model":
            _collect(config.select("model.data_preprocessor"), "model.data_preprocessor", (old, size), changes)
        elif key in _SIZE_KEYS and not isinstance(value, dict):
            _put(key, value, (old, size), changes)
        else:
            _collect(value, key, (old, size), changes)
    if config.select("model.backbone.img_size") == old:
        changes["model.backbone.img_size"] = size
    return changes


def _present_size(config: Config) -> int | None:
    """Return the longer side of what the test, validation or training pipeline resizes, and at last crops, to."""
    for split in ("test", "val", "train"):
        dataset = config.select(f"{split}_dataloader.dataset")
        while isinstance(dataset, ConfigDict):
            steps = [each for each in dataset.get("pipeline") or () if isinstance(each, ConfigDict)]
            sizes = (_integers(step.get(key)) for step in steps for key in ("scale", "img_scale", "crop_size", "size"))
            found = [max(numbers) for numbers in sizes if numbers]
            if found:
                return found[-1]
            inner = dataset.get("datasets") or [dataset.get("dataset")]
            dataset = inner[0]
    return None


def _integers(value: Any) -> list[int]:
    many = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in many if isinstance(each, int) and not isinstance(each, bool) and each > 1]


def _collect(value: Any, path: str, sizes: tuple[int, int], changes: Overrides) -> None:
    if isinstance(value, ConfigDict):
        for key, item in value.items():
            if key in _SIZE_KEYS and "type" in value:
                _put(f"{path}.{key}", item, sizes, changes)
            else:
                _collect(item, f"{path}.{key}", sizes, changes)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _collect(item, f"{path}.{index}", sizes, changes)


def _put(path: str, value: Any, sizes: tuple[int, int], changes: Overrides) -> None:
    scaled = _scaled(value, *sizes)
    if scaled != value:
        changes[path] = scaled


def _scaled(value: Any, old: int, new: int) -> Any:
    """Return sizes changed by new / old; anything that is no size in pixels (fractions, flags, None) as it is."""
    if isinstance(value, (list, tuple)):
        return type(value)([_scaled(item, old, new) for item in value])
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) <= 1:
        return value
    if value % _STRIDE == 0 and new % _STRIDE == 0:
        steps = round(abs(value) // _STRIDE * new / old)
        return max(1, steps) * _STRIDE * (1 if value > 0 else -1)
    return round(value * new / old)
