"""Building blocks of networks, made from configs: `conv_cfg`, `norm_cfg`, `act_cfg`."""

from mimctl.vision.layers.activation import build_activation_layer
from mimctl.vision.layers.attention import ChannelAttention
from mimctl.vision.layers.conv import build_conv_layer, build_padding_layer
from mimctl.vision.layers.conv_module import ConvModule
from mimctl.vision.layers.csp import CSPLayer, CSPNeXtBlock, DarknetBottleneck, SPPBottleneck
from mimctl.vision.layers.depthwise import DepthwiseSeparableConvModule
from mimctl.vision.layers.drop import DropPath, build_dropout, drop_path
from mimctl.vision.layers.norm import build_norm_layer, is_norm
from mimctl.vision.layers.scale import LayerScale, Scale

__all__ = [
    "CSPLayer",
    "CSPNeXtBlock",
    "ChannelAttention",
    "ConvModule",
    "DarknetBottleneck",
    "DepthwiseSeparableConvModule",
    "DropPath",
    "LayerScale",
    "SPPBottleneck",
    "Scale",
    "build_activation_layer",
    "build_conv_layer",
    "build_dropout",
    "build_norm_layer",
    "build_padding_layer",
    "drop_path",
    "is_norm",
]
