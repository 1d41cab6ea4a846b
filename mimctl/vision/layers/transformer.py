"""The two halves of a transformer layer with their residual connections: attention and feed-forward network.

Source: Vaswani et al., Attention is all you need (arXiv:1706.03762).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from mimctl.engine.introspection import deprecated_api_warning
from mimctl.engine.model import BaseModule, Sequential
from mimctl.engine.registry import MODELS
from mimctl.errors import ConfigError
from mimctl.vision.layers.activation import build_activation_layer
from mimctl.vision.layers.drop import build_dropout
from mimctl.vision.layers.scale import LayerScale

Cfg = Mapping[str, Any]
_RELU: Cfg = {"type": "ReLU", "inplace": True}
_DROPOUT: Cfg = {"type": "Dropout", "drop_prob": 0.0}


@MODELS.register_module()
class MultiheadAttention(BaseModule):
    """`nn.MultiheadAttention` with positional encodings and a residual connection.

    `attn_drop` drops attention weights, `proj_drop` the output, `dropout_layer` the branch. Other arguments go to
    `nn.MultiheadAttention`. Tensors are (tokens, B, embed_dims), with `batch_first` (B, tokens, embed_dims).
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Cfg | None = _DROPOUT,
        init_cfg: Any = None,
        batch_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        if "dropout" in kwargs:  # of MMCV 1
            attn_drop = kwargs.pop("dropout")
            dropout_layer = {**(dropout_layer or _DROPOUT), "drop_prob": attn_drop}
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.batch_first = batch_first
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, attn_drop, **kwargs)
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()

    @deprecated_api_warning({"residual": "identity"}, cls_name="MultiheadAttention")
    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return `identity` (default `query`) plus what the query attends to; key and value default to query and key.

        `query_pos` also serves keys of its shape that have no `key_pos`. Masks are those of `nn.MultiheadAttention`.
        """
        key = query if key is None else key
        value = key if value is None else value
        identity = query if identity is None else identity
        if key_pos is None and query_pos is not None and query_pos.shape == key.shape:
            key_pos = query_pos
        query = query if query_pos is None else query + query_pos
        key = key if key_pos is None else key + key_pos
        if self.batch_first:
            query, key, value = (each.transpose(0, 1) for each in (query, key, value))
        out = self.attn(query, key, value, attn_mask=attn_mask, key_padding_mask=key_padding_mask)[0]
        if self.batch_first:
            out = out.transpose(0, 1)
        result: Tensor = identity + self.dropout_layer(self.proj_drop(out))
        return result


@MODELS.register_module()
class FFN(BaseModule):
    """`num_fcs` linear layers with activations in between and a residual connection around them.

    `ffn_drop` drops values inside, `dropout_layer` the branch; `layer_scale_init_value` above 0 scales it per channel.
    """

    @deprecated_api_warning({"dropout": "ffn_drop", "add_residual": "add_identity"}, cls_name="FFN")
    def __init__(
        self,
        embed_dims: int = 256,
        feedforward_channels: int = 1024,
        num_fcs: int = 2,
        act_cfg: Cfg = _RELU,
        ffn_drop: float = 0.0,
        dropout_layer: Cfg | None = None,
        add_identity: bool = True,
        init_cfg: Any = None,
        layer_scale_init_value: float = 0.0,
    ) -> None:
        super().__init__(init_cfg)
        if num_fcs < 2:
            raise ConfigError(
                f"a feed-forward network has two linear layers or more, not {num_fcs}", code="bad-argument"
            )
        self.embed_dims = embed_dims
        self.feedforward_channels = feedforward_channels
        self.num_fcs = num_fcs
        widths = [embed_dims, *[feedforward_channels] * (num_fcs - 1)]
        inner = [
            Sequential(nn.Linear(before, after), build_activation_layer(act_cfg), nn.Dropout(ffn_drop))
            for before, after in pairwise(widths)
        ]
        self.layers = Sequential(*inner, nn.Linear(feedforward_channels, embed_dims), nn.Dropout(ffn_drop))
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()
        self.add_identity = add_identity
        scales = layer_scale_init_value > 0
        self.gamma2 = LayerScale(embed_dims, scale=layer_scale_init_value) if scales else nn.Identity()

    @deprecated_api_warning({"residual": "identity"}, cls_name="FFN")
    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        """Return `identity` (default `x`) plus the network's output for `x`, or that output alone."""
        out: Tensor = self.dropout_layer(self.gamma2(self.layers(x)))
        if not self.add_identity:
            return out
        return (x if identity is None else identity) + out
