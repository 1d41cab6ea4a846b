"""RTMDet (Lyu et al. 2022): CSPNeXt, CSPNeXtPAFPN and a head that shares its convolutions over the strides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.engine.ranks.distributed import get_world_size
from mimctl.engine.ranks.sync_batch_norm import convert_sync_batchnorm
from mimctl.engine.registry import MODELS
from mimctl_det.models.detectors.base import Cfg
from mimctl_det.models.detectors.single_stage import SingleStageDetector


@MODELS.register_module()
class RTMDet(SingleStageDetector):
    """A single-stage detector; `use_syncbn` turns its batch norms into synchronised ones when several ranks train."""

    def __init__(
        self,
        backbone: Mapping[str, Any],
        neck: Mapping[str, Any],
        bbox_head: Mapping[str, Any],
        train_cfg: Cfg = None,
        test_cfg: Cfg = None,
        data_preprocessor: Cfg = None,
        init_cfg: Any = None,
        use_syncbn: bool = True,
    ) -> None:
        super().__init__(backbone, neck, bbox_head, train_cfg, test_cfg, data_preprocessor, init_cfg)
        if use_syncbn and get_world_size() > 1:
            convert_sync_batchnorm(self)
