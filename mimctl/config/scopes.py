"""Scopes: the short names of toolboxes that type names in configs belong to, OpenMMLab's names as aliases."""

from __future__ import annotations

FALLBACK_SCOPES = ("vision", "engine")
SCOPE_ALIASES = {
    "mmengine": "engine",
    "mmcv": "vision",
    "mmdet": "det",
    "mmcls": "cls",
    "mmpretrain": "cls",
    "mmselfsup": "cls",
    "mmseg": "seg",
    "mmpose": "pose",
    "mmocr": "ocr",
    "mmaction": "action",
    "mmagic": "edit",
    "mmedit": "edit",
    "mmdet3d": "det3d",
    "mmrotate": "rotated",
    "mmtrack": "track",
    "mmyolo": "yolo",
    "mmdeploy": "deploy",
}


def canonical_scope(scope: str) -> str:
    """Return our name of a scope: OpenMMLab's names are aliases."""
    return SCOPE_ALIASES.get(scope, scope)
