"""Building blocks of networks, made from configs: `conv_cfg`, `norm_cfg`, `act_cfg`."""

from mimctl.vision.layers.activation import Clamp, HSigmoid, HSwish, build_activation_layer
from mimctl.vision.layers.attention import ChannelAttention
from mimctl.vision.layers.context import ContextBlock, NonLocal2d, build_plugin_layer
from mimctl.vision.layers.conv import build_conv_layer, build_padding_layer
from mimctl.vision.layers.conv_module import ConvModule
from mimctl.vision.layers.csp import CSPLayer, CSPNeXtBlock, DarknetBottleneck, SPPBottleneck
from mimctl.vision.layers.depthwise import DepthwiseSeparableConvModule
from mimctl.vision.layers.drop import Dropout, DropPath, build_dropout, drop_path
from mimctl.vision.layers.fuse import fuse_conv_bn
from mimctl.vision.layers.norm import LayerNorm2d, SyncBatchNorm, build_norm_layer, is_norm
from mimctl.vision.layers.patches import AdaptivePadding, Conv2dAdaptivePadding, PatchEmbed, PatchMerging
from mimctl.vision.layers.scale import LayerScale, Scale
from mimctl.vision.layers.standardized import ConvAWS2d, ConvWS2d, conv_ws_2d
from mimctl.vision.layers.transformer import FFN, MultiheadAttention
from mimctl.vision.layers.upsample import PixelShufflePack, build_upsample_layer

__all__ = [
    "FFN",
    "AdaptivePadding",
    "CSPLayer",
    "CSPNeXtBlock",
    "ChannelAttention",
    "Clamp",
    "ContextBlock",
    "Conv2dAdaptivePadding",
    "ConvAWS2d",
    "ConvModule",
    "ConvWS2d",
    "DarknetBottleneck",
    "DepthwiseSeparableConvModule",
    "DropPath",
    "Dropout",
    "HSigmoid",
    "HSwish",
    "LayerNorm2d",
    "LayerScale",
    "MultiheadAttention",
    "NonLocal2d",
    "PatchEmbed",
    "PatchMerging",
    "PixelShufflePack",
    "SPPBottleneck",
    "Scale",
    "SyncBatchNorm",
    "build_activation_layer",
    "build_conv_layer",
    "build_dropout",
    "build_norm_layer",
    "build_padding_layer",
    "build_plugin_layer",
    "build_upsample_layer",
    "conv_ws_2d",
    "drop_path",
    "fuse_conv_bn",
    "is_norm",
]
