"""Proposals that were computed before: the boxes that a detector without a proposal network of its own starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimctl.engine.data.transform import Sample
from mimctl.engine.files.datafiles import load
from mimctl.errors import MimctlError


def add_proposals(samples: Sequence[Sample], path: str, backend_args: Mapping[str, Any] | None = None) -> None:
    """Give every sample its `proposals`: (N, 5) float32, x1 y1 x2 y2 in pixels and a score.

    The file is JSON or YAML: `folder/name.jpg` (the image's file and the folder it lies in) → list of boxes. Raises
    MimctlError[missing-file], MimctlError[bad-annotations] where an image has none, UnsafeFileError for a pickle, as
    which OpenMMLab publishes them.
    """
    held = load(path, backend_args=backend_args)
    if not isinstance(held, Mapping):
        raise MimctlError(f"{path} holds no proposals", code="bad-annotations", causes=["it needs file name → boxes"])
    for sample in samples:
        name = "/".join(PurePosixPath(str(sample["img_path"]).replace("\\", "/")).parts[-2:])
        if name not in held:
            message = f"{path} has no proposals of `{name}`"
            raise MimctlError(message, code="bad-annotations", causes=[f"it has those of {len(held)} images"])
        sample["proposals"] = _boxes(held[name], f"{path}: {name}")


def _boxes(given: Any, place: str) -> NDArray[np.float32]:
    try:
        boxes = np.asarray(given, np.float32).reshape(-1, 5)
    except (TypeError, ValueError) as err:
        raise MimctlError(
            f"{place}: proposals are lists of x1, y1, x2, y2 and a score", code="bad-annotations", causes=[str(err)]
        ) from err
    return boxes
