"""The heads of RTMDet (Lyu et al. 2022): the plain one, and the one with own batch norms for each stride."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.model import bias_init_with_prob, constant_init, normal_init
from mimctl.engine.registry import MODELS, TASK_UTILS
from mimctl.engine.structures import InstanceData
from mimctl.vision.layers import ConvModule, DepthwiseSeparableConvModule, Scale, is_norm
from mimctl_det.models.dense_heads.base import BaseDenseHead, Metas
from mimctl_det.models.dense_heads.rtmdet_loss import assign, flatten, losses, valid_points

Cfg = Mapping[str, Any] | None
_POINTS: Mapping[str, Any] = {"type": "MlvlPointGenerator", "offset": 0, "strides": [8, 16, 32]}
_DISTANCE: Mapping[str, Any] = {"type": "DistancePointBBoxCoder"}
_QUALITY_FOCAL: Mapping[str, Any] = {"type": "QualityFocalLoss", "use_sigmoid": True, "beta": 2.0, "loss_weight": 1.0}
_GIOU: Mapping[str, Any] = {"type": "GIoULoss", "loss_weight": 2.0}
_RELU: Mapping[str, Any] = {"type": "ReLU"}
_SILU: Mapping[str, Any] = {"type": "SiLU"}
_GN: Mapping[str, Any] = {"type": "GN", "num_groups": 32, "requires_grad": True}
_BN: Mapping[str, Any] = {"type": "BN", "momentum": 0.03, "eps": 0.001}


@MODELS.register_module()
class RTMDetHead(BaseDenseHead):
    """Classes and box distances from convolutions that all strides share.

    `with_objectness` adds a third branch, which the class scores are averaged with (geometric mean).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        with_objectness: bool = False,
        act_cfg: Cfg = _RELU,
        feat_channels: int = 256,
        stacked_convs: int = 4,
        pred_kernel_size: int = 3,
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = _GN,
        anchor_generator: Mapping[str, Any] = _POINTS,
        bbox_coder: Mapping[str, Any] = _DISTANCE,
        loss_cls: Mapping[str, Any] = _QUALITY_FOCAL,
        loss_bbox: Mapping[str, Any] = _GIOU,
        reg_decoded_bbox: bool = True,
        loss_centerness: Cfg = None,
        train_cfg: Cfg = None,
        test_cfg: Cfg = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes, self.in_channels, self.feat_channels = num_classes, in_channels, feat_channels
        self.stacked_convs, self.pred_kernel_size = stacked_convs, pred_kernel_size
        self.with_objectness = with_objectness
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        self.use_sigmoid_cls = loss_cls.get("use_sigmoid", False)
        self.cls_out_channels = num_classes if self.use_sigmoid_cls else num_classes + 1
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        self.num_base_priors = self.prior_generator.num_base_priors[0]
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        self.loss_cls, self.loss_bbox = MODELS.build(loss_cls), MODELS.build(loss_bbox)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.assigner = TASK_UTILS.build(train_cfg["assigner"]) if train_cfg else None
        self._init_layers()

    def _init_layers(self) -> None:
        self.cls_convs = self._branch(ConvModule)
        self.reg_convs = self._branch(ConvModule)
        self.rtm_cls = self._predictor(self.num_base_priors * self.cls_out_channels)
        self.rtm_reg = self._predictor(self.num_base_priors * 4)
        if self.with_objectness:
            self.rtm_obj = self._predictor(1)
        self.scales = nn.ModuleList(Scale(1.0) for _ in self.prior_generator.strides)

    def _branch(self, conv: type[nn.Module]) -> nn.ModuleList:
        cfgs = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        return nn.ModuleList(
            conv(self.feat_channels if number else self.in_channels, self.feat_channels, 3, stride=1, padding=1, **cfgs)
            for number in range(self.stacked_convs)
        )

    def _predictor(self, channels: int) -> nn.Conv2d:
        return nn.Conv2d(self.feat_channels, channels, self.pred_kernel_size, padding=self.pred_kernel_size // 2)

    def init_weights(self) -> None:
        """Initialise convolutions narrowly; class scores start near 0.01."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, mean=0, std=0.01)
            elif is_norm(module):
                constant_init(module, 1)
        for name in ("rtm_cls", "rtm_obj"):
            for predictor in _as_modules(getattr(self, name, None)):
                normal_init(predictor, std=0.01, bias=bias_init_with_prob(0.01))
        self._is_init = True

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return class logits (B, C, H, W) and distances (B, 4, H, W) in pixels, one of each a feature map."""
        outs = [self._forward_single(x, level) for level, x in enumerate(feats)]
        return tuple(each[0] for each in outs), tuple(each[1] for each in outs)

    def _forward_single(self, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        cls_feat = reg_feat = x
        for conv in self.cls_convs:
            cls_feat = conv(cls_feat)
        for conv in self.reg_convs:
            reg_feat = conv(reg_feat)
        logits = self.rtm_cls(cls_feat)
        if self.with_objectness:
            logits = join_objectness(logits, self.rtm_obj(reg_feat))
        stride = self.prior_generator.strides[level][0]
        return logits, self.scales[level](self.rtm_reg(reg_feat).exp()).float() * stride

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Metas,
        batch_gt_instances_ignore: Sequence[InstanceData | None] | None = None,
    ) -> dict[str, list[Tensor]]:
        """Return `loss_cls` and `loss_bbox`, each a list with one value a feature map."""
        if self.assigner is None:
            raise ValueError("the head was built without `train_cfg`, so it has no assigner and cannot learn")
        sizes = [(int(each.shape[-2]), int(each.shape[-1])) for each in cls_scores]
        device = cls_scores[0].device
        predictions = flatten(
            cls_scores, bbox_preds, self.prior_generator.grid_priors(sizes, device=device, with_stride=True)
        )
        targets = assign(
            predictions,
            batch_gt_instances,
            [valid_points(self.prior_generator, sizes, meta, device) for meta in batch_img_metas],
            self.assigner,
            num_classes=self.num_classes,
            pos_weight=(self.train_cfg or {}).get("pos_weight", -1),
        )
        return losses(predictions, targets, self.loss_cls, self.loss_bbox)


@MODELS.register_module()
class RTMDetSepBNHead(RTMDetHead):
    """As RTMDetHead, but every stride has its own batch norms and predictors.

    `share_conv` shares the convolutions' weights over the strides; `exp_on_reg` predicts the logarithm of distances.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        share_conv: bool = True,
        use_depthwise: bool = False,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _SILU,
        pred_kernel_size: int = 1,
        exp_on_reg: bool = False,
        **kwargs: Any,
    ) -> None:
        self.share_conv, self.use_depthwise, self.exp_on_reg = share_conv, use_depthwise, exp_on_reg
        super().__init__(
            num_classes,
            in_channels,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            pred_kernel_size=pred_kernel_size,
            **kwargs,
        )

    def _init_layers(self) -> None:
        conv: type[nn.Module] = DepthwiseSeparableConvModule if self.use_depthwise else ConvModule
        levels = range(self.prior_generator.num_levels)
        self.cls_convs = nn.ModuleList(self._branch(conv) for _ in levels)
        self.reg_convs = nn.ModuleList(self._branch(conv) for _ in levels)
        self.rtm_cls = nn.ModuleList(self._predictor(self.num_base_priors * self.cls_out_channels) for _ in levels)
        self.rtm_reg = nn.ModuleList(self._predictor(self.num_base_priors * 4) for _ in levels)
        if self.with_objectness:
            self.rtm_obj = nn.ModuleList(self._predictor(1) for _ in levels)
        if self.share_conv:
            for branches in (self.cls_convs, self.reg_convs):
                for branch in branches[1:]:
                    _share_convolutions(branches[0], branch)

    def _forward_single(self, x: Tensor, level: int) -> tuple[Tensor, Tensor]:
        cls_feat = reg_feat = x
        for conv in self.cls_convs[level]:
            cls_feat = conv(cls_feat)
        for conv in self.reg_convs[level]:
            reg_feat = conv(reg_feat)
        logits = self.rtm_cls[level](cls_feat)
        if self.with_objectness:
            logits = join_objectness(logits, self.rtm_obj[level](reg_feat))
        distances = self.rtm_reg[level](reg_feat)
        distances = distances.exp() if self.exp_on_reg else distances
        return logits, distances * self.prior_generator.strides[level][0]


def join_objectness(logits: Tensor, objectness: Tensor, eps: float = 1e-5) -> Tensor:
    """Return the logits whose sigmoid is the geometric mean of both sigmoids."""
    score = (logits.sigmoid() * objectness.sigmoid()).sqrt().clamp(min=0, max=1)
    return torch.log(score.clamp(min=eps) / (1 - score).clamp(min=eps))


def _share_convolutions(source: nn.Module, target: nn.Module) -> None:
    for first, other in zip(list(source.modules()), list(target.modules()), strict=True):
        if isinstance(other, ConvModule) and isinstance(first, ConvModule):
            other.conv = first.conv


def _as_modules(module: nn.Module | None) -> list[nn.Module]:
    if module is None:
        return []
    return list(module) if isinstance(module, nn.ModuleList) else [module]
