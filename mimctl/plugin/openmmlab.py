"""What OpenMMLab published, as far as names and builds decide something: facts in tables."""

from __future__ import annotations

from typing import NamedTuple

OPENMMLAB_NAMES = {
    "mmdet": "det",
    "mmdetection": "det",
    "mmcls": "cls",
    "mmpretrain": "cls",
    "mmseg": "seg",
    "mmsegmentation": "seg",
    "mmpose": "pose",
    "mmocr": "ocr",
}
"""OpenMMLab's toolboxes → ours, for messages about toolboxes that are not installed."""

CATALOGUES = {
    **OPENMMLAB_NAMES,
    "mmaction": "action",
    "mmaction2": "action",
    "mmagic": "magic",
    "mmedit": "magic",
    "mmdet3d": "det3d",
    "mmdetection3d": "det3d",
    "mmrotate": "rotate",
    "mmtrack": "track",
    "mmtracking": "track",
    "mmyolo": "yolo",
}
"""OpenMMLab's packages → the catalogue of their models, also where there is no toolbox of ours."""


class LastBuild(NamedTuple):
    """The newest published wheels of a compiled library: a release, and what it was built for last."""

    version: str
    torch: str
    python: str

    def page(self, torch: str | None) -> str:
        """Return where its wheels are linked, for the kind of torch (CPU or CUDA) that is there."""
        tag = "cpu" if torch is not None and torch.endswith("+cpu") else "cu121"
        return f"https://download.openmmlab.com/mmcv/dist/{tag}/torch{self.torch}/index.html"


MMCV_BUILDS = (
    LastBuild(version="2.1.0", torch="2.1", python="3.11"),
    LastBuild(version="2.2.0", torch="2.4", python="3.11"),
)
"""OpenMMLab published no later builds of mmcv; there are none for Python 3.12, aarch64 or ROCm."""
