"""Deformable convolution, with a mask (v2) and without (v1), and the modules that learn where to look."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimctl_ops.checks import check_floating, check_same_device, check_size, check_tensor, compute_type
from mimctl_ops.ops._shares import sum_of_shares
from mimctl_ops.registration import define_differentiable

_V1, _V2 = "deform_conv2d", "modulated_deform_conv2d"


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
    bias: bool = False,
    im2col_step: int = 32,
) -> Tensor:
    """Convolve `input` at places that `offset` moves (Dai et al., "Deformable Convolutional Networks", 2017).

    A sample is interpolated between the four pixels around it, whose centers lie at whole numbers; pixels outside the
    image are zero. A sample whose place is NaN, or a pixel or more outside, is zero and has no gradient. float16 and
    bfloat16 are computed in float32 on the CPU; on a GPU the samples are, and the products are those of torch.

    Args:
        input: (B, C, H, W) floating point. Differentiable.
        offset: (B, 2 * D * kh * kw, H', W') floating point: for each deform group and each tap of the kernel, row by
            row, how many pixels `y, x` its sample lies beside its usual place. Differentiable.
        weight: (O, C / groups, kh, kw) floating point. Differentiable.
        stride: pixels of `input` from one place to the next, a number or `y, x`, >= 1.
        padding: pixels of zeros on each side, a number or `y, x`, >= 0.
        dilation: pixels from tap to tap, a number or `y, x`, >= 1.
        groups: divides C and O; channels of one group are not seen by the others.
        deform_groups: D, divides C; channels of one deform group share their offsets.
        bias: must be False; there is no bias.
        im2col_step: any number > 0; without effect, kept for callers.

    Returns:
        (B, O, H', W') in the type of `input`, where H' = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1, and
        W' alike.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    _check_v1(bias, im2col_step)
    return _convolve(OP, _V1, input, offset, None, weight, None, stride, padding, dilation, groups, deform_groups)


def modulated_deform_conv2d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Do `deform_conv2d` with a factor for each sample (Zhu et al., "Deformable ConvNets v2", 2019).

    Args:
        input: (B, C, H, W) floating point. Differentiable.
        offset: (B, 2 * D * kh * kw, H', W') floating point, as in `deform_conv2d`. Differentiable.
        mask: (B, D * kh * kw, H', W') floating point: the factor of each sample. Differentiable.
        weight: (O, C / groups, kh, kw) floating point. Differentiable.
        bias: (O,) floating point, what is added to each channel of the result, or None. Differentiable.
        stride, padding, dilation, groups, deform_groups: as in `deform_conv2d`.

    Returns:
        (B, O, H', W') in the type of `input`.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    return _convolve(OP, _V2, input, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups)


def deform_conv2d_reference(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
    bias: bool = False,
    im2col_step: int = 32,
) -> Tensor:
    """Pure-PyTorch twin of `deform_conv2d`."""
    _check_v1(bias, im2col_step)
    return _convolve(
        _reference, _V1, input, offset, None, weight, None, stride, padding, dilation, groups, deform_groups
    )


def modulated_deform_conv2d_reference(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Pure-PyTorch twin of `modulated_deform_conv2d`."""
    return _convolve(
        _reference, _V2, input, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups
    )


class _DeformConv(nn.Module):
    """What the modules share: the sizes, and a weight."""

    op: str
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        dilation: int | Sequence[int],
        groups: int,
        deform_groups: int,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(self.op, "kernel_size", kernel_size, 1)
        self.stride = _pair(self.op, "stride", stride, 1)
        self.padding = _pair(self.op, "padding", padding, 0)
        self.dilation = _pair(self.op, "dilation", dilation, 1)
        self.groups = groups
        self.deform_groups = deform_groups
        self.transposed = False  # with output_padding, what code that treats all convolutions alike looks for
        self.output_padding = (0,)
        _check_groups(self.op, in_channels, out_channels, groups, deform_groups)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        names = ("kernel_size", "stride", "padding", "dilation", "groups", "deform_groups")
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"{self.in_channels}, {self.out_channels}, {settings}, bias={self.bias is not None}"

    def _new_conv_offset(self, num_a_tap: int) -> nn.Conv2d:
        """Return a convolution that yields zeros until it is trained."""
        num_taps = math.prod(self.kernel_size)
        conv = nn.Conv2d(
            self.in_channels,
            self.deform_groups * num_a_tap * num_taps,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        return conv


class _WithConvOffset(_DeformConv):
    """A module whose offsets come from a convolution of its own."""

    _version = 2
    conv_offset: nn.Conv2d

    def upgrade_state_dict(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Rename `<name>_offset.*`, a neighbour of this module in old checkpoints, to `<name>.conv_offset.*`.

        `state_dict` is that of the whole model, in which this module's keys begin with `prefix`, "<name>.".
        """
        for parameter in ("weight", "bias"):
            old, new = f"{prefix[:-1]}_offset.{parameter}", f"{prefix}conv_offset.{parameter}"
            if new not in state_dict and old in state_dict:
                state_dict[new] = state_dict.pop(old)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        # torch shows a module its own keys only, other loaders show it all.
        if (local_metadata.get("version") or 1) < 2:
            self.upgrade_state_dict(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class DeformConv2d(_DeformConv):
    """`deform_conv2d` with a weight of its own, called with `x` (B, C, H, W) and `offset`.

    Raises:
        ValueError: the groups do not divide the channels, a size is not a number or two, or `bias` is true.
    """

    op = _V1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = False,
        im2col_step: int = 32,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, deform_groups)
        _check_v1(bias, im2col_step)
        self.im2col_step = im2col_step
        self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight anew (He et al., "Delving Deep into Rectifiers", 2015)."""
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """Return (B, O, H', W') for `offset` (B, 2 * D * kh * kw, H', W').

        An image smaller than the kernel is filled up with zeros below and right, and `offset` by as much; what that
        adds to the result is cut off again.
        """
        missing_h = max(self.kernel_size[0] - x.shape[-2], 0)
        missing_w = max(self.kernel_size[1] - x.shape[-1], 0)
        if not (missing_h or missing_w):
            return self._convolve(x, offset)
        fill = (0, missing_w, 0, missing_h)
        result = self._convolve(F.pad(x, fill), F.pad(offset, fill))
        return result[..., : result.shape[-2] - missing_h, : result.shape[-1] - missing_w].contiguous()

    def _convolve(self, x: Tensor, offset: Tensor) -> Tensor:
        return deform_conv2d(
            x, offset, self.weight, self.stride, self.padding, self.dilation, self.groups, self.deform_groups
        )


class DeformConv2dPack(DeformConv2d, _WithConvOffset):
    """`DeformConv2d` whose offsets come from a convolution of the same input, `conv_offset`; called with `x` alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv_offset = self._new_conv_offset(num_a_tap=2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return (B, O, H', W')."""
        return self._convolve(x, self.conv_offset(x))


class ModulatedDeformConv2d(_DeformConv):
    """`modulated_deform_conv2d` with a weight and bias of its own, called with `x` (B, C, H, W), `offset` and `mask`.

    Raises:
        ValueError: the groups do not divide the channels, or a size is not a number or two.
    """

    op = _V2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool | str = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, deform_groups)
        self.register_parameter("bias", nn.Parameter(torch.empty(out_channels)) if bias else None)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the weight anew, evenly up to 1 / sqrt(numbers that one result sums up), and set the bias to zero."""
        bound = 1 / math.sqrt(max(self.in_channels * math.prod(self.kernel_size), 1))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Return (B, O, H', W') for `offset` (B, 2 * D * kh * kw, H', W') and `mask` (B, D * kh * kw, H', W')."""
        return modulated_deform_conv2d(
            x,
            offset,
            mask,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.deform_groups,
        )


class ModulatedDeformConv2dPack(ModulatedDeformConv2d, _WithConvOffset):
    """`ModulatedDeformConv2d` whose offsets and mask come from a convolution of the same input; called with `x` alone.

    Of the channels of `conv_offset`, the first two thirds are the offsets, the last one goes through a sigmoid.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv_offset = self._new_conv_offset(num_a_tap=3)

    def init_weights(self) -> None:
        """Do what `ModulatedDeformConv2d` does, and set `conv_offset` to zero."""
        super().init_weights()
        if hasattr(self, "conv_offset"):
            nn.init.zeros_(self.conv_offset.weight)
            nn.init.zeros_(self.conv_offset.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return (B, O, H', W')."""
        deformation = self.conv_offset(x)
        num_offsets = deformation.shape[1] // 3 * 2
        return super().forward(x, deformation[:, :num_offsets], deformation[:, num_offsets:].sigmoid())


def _convolve(
    operator: Callable[..., Tensor],
    op: str,
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    groups: int,
    deform_groups: int,
) -> Tensor:
    pairs = _pair(op, "stride", stride, 1), _pair(op, "padding", padding, 0), _pair(op, "dilation", dilation, 1)
    _check_tensors(op, input, offset, mask, weight, bias)
    _check_groups(op, input.shape[1], weight.shape[0], groups, deform_groups)
    _check_sizes(op, input, offset, mask, weight, pairs, groups, deform_groups)
    result = operator(input, offset, mask, weight, *pairs, groups, deform_groups)
    return result if bias is None else result + bias.to(result.dtype)[:, None, None]


def _pair(op: str, name: str, value: int | Sequence[int], least: int) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(pair) != 2 or not (isinstance(pair[0], int) and isinstance(pair[1], int)):
        raise TypeError(f"{op}: {name} must be a number or two, not {value!r}")
    if min(pair) < least or max(pair) >= 2**31:
        raise ValueError(f"{op}: {name} must be {least} to {2**31 - 1}, not {value!r}")
    return pair[0], pair[1]


def _check_v1(bias: bool, im2col_step: int) -> None:
    if bias:
        raise ValueError(f"{_V1}: bias must be False, for there is none")
    if im2col_step <= 0:
        raise ValueError(f"{_V1}: im2col_step must be greater than 0, not {im2col_step}")


def _check_tensors(
    op: str, input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, bias: Tensor | None
) -> None:
    check_tensor(op, "input", input, "(B, C, H, W)", dim=4)
    check_tensor(op, "offset", offset, "(B, 2 * deform_groups * kh * kw, H', W')", dim=4)
    check_tensor(op, "weight", weight, "(O, C / groups, kh, kw)", dim=4)
    if mask is not None or op == _V2:
        check_tensor(op, "mask", mask, "(B, deform_groups * kh * kw, H', W')", dim=4)
    if bias is not None:
        check_tensor(op, "bias", bias, "(O,)", dim=1)
        check_size(op, "bias", bias, "(O,), as weight", dim=0, size=weight.shape[0])
    check_floating(op, input=input, offset=offset, mask=mask, weight=weight, bias=bias)
    check_same_device(op, input=input, offset=offset, mask=mask, weight=weight, bias=bias)


def _check_groups(op: str, channels: int, out_channels: int, groups: int, deform_groups: int) -> None:
    if groups < 1 or channels % groups or out_channels % groups:
        raise ValueError(f"{op}: groups must divide the {channels} and {out_channels} channels, not {groups}")
    if deform_groups < 1 or channels % deform_groups:
        raise ValueError(f"{op}: deform_groups must divide the {channels} channels, not {deform_groups}")


def _check_sizes(
    op: str,
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    pairs: tuple[tuple[int, int], ...],
    groups: int,
    deform_groups: int,
) -> None:
    batch, channels, *size = input.shape
    kernel = weight.shape[2:]
    check_size(op, "weight", weight, "(O, C / groups, kh, kw)", dim=1, size=channels // groups)
    out_size = []
    for length, taps, stride, padding, dilation in zip(size, kernel, *pairs, strict=True):
        room = length + 2 * padding - dilation * (taps - 1) - 1
        if taps < 1:
            raise ValueError(f"{op}: weight must have a kernel of 1 x 1 or more, not {tuple(kernel)}")
        if room < 0:
            raise ValueError(f"{op}: input must not be smaller than the dilated kernel, but is {tuple(size)}")
        out_size.append(room // stride + 1)
    num_samples = deform_groups * kernel[0] * kernel[1]
    shape = "(B, 2 * deform_groups * kh * kw, H', W')"
    _check_shape(op, "offset", offset, shape, (batch, 2 * num_samples, *out_size))
    if mask is not None:
        _check_shape(op, "mask", mask, "(B, deform_groups * kh * kw, H', W')", (batch, num_samples, *out_size))


def _check_shape(op: str, name: str, tensor: Tensor, shape: str, sizes: tuple[int, ...]) -> None:
    if not torch.compiler.is_compiling() and tensor.shape == sizes:
        return
    for dim, size in enumerate(sizes):
        check_size(op, name, tensor, shape, dim=dim, size=size)


def _reference(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    deform_groups: int,
) -> Tensor:
    dtype = compute_type(input.dtype)
    batch, channels, height, width = input.shape
    out_channels, _, kernel_h, kernel_w = weight.shape
    out_h, out_w = offset.shape[2:]
    num_places, num_images = out_h * out_w, batch * deform_groups
    # One row of channels a pixel, one image a deform group, and one row of zeros for all pixels that do not exist.
    pixels = input.to(dtype).reshape(num_images, channels // deform_groups, height * width)
    table = F.pad(pixels.transpose(1, 2).reshape(num_images * height * width, channels // deform_groups), (0, 0, 0, 1))
    moves = offset.to(dtype).reshape(num_images, kernel_h * kernel_w, 2, num_places)
    factors = None if mask is None else mask.to(dtype).reshape(num_images, kernel_h * kernel_w, num_places)
    weights = weight.to(dtype).reshape(groups, out_channels // groups, channels // groups, kernel_h * kernel_w)
    rows = torch.arange(num_places, device=input.device)
    total = input.new_zeros(groups, batch * num_places, out_channels // groups, dtype=dtype)
    for tap in range(kernel_h * kernel_w):
        y = rows // out_w * stride[0] - padding[0] + tap // kernel_w * dilation[0] + moves[:, tap, 0]
        x = rows % out_w * stride[1] - padding[1] + tap % kernel_w * dilation[1] + moves[:, tap, 1]
        index, shares = _corners(y, x, height, width)
        if factors is not None:
            shares = shares * factors[:, tap, :, None]
        found = sum_of_shares(table, index.view(-1, 4), shares.view(-1, 4))
        found = found.view(batch, deform_groups, num_places, channels // deform_groups).transpose(1, 2)
        samples = found.reshape(batch * num_places, groups, channels // groups).transpose(0, 1)
        with torch.autocast(input.device.type, enabled=False):
            total = total + samples @ weights[..., tap].transpose(1, 2)
    result = total.transpose(0, 1).reshape(batch, num_places, out_channels).transpose(1, 2)
    return result.reshape(batch, out_channels, out_h, out_w).contiguous().to(input.dtype)


def _corners(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the table rows of the four pixels around (I, P) points of I images, (I, P, 4), and their shares."""
    is_near = (y > -1) & (x > -1) & (y < height) & (x < width)
    y, x = torch.where(is_near, y, -2), torch.where(is_near, x, -2)
    below, right = y - y.floor(), x - x.floor()
    shares = torch.stack([(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right], dim=-1)
    rows = y.detach().floor().long()[..., None] + torch.tensor([0, 0, 1, 1], device=y.device)
    columns = x.detach().floor().long()[..., None] + torch.tensor([0, 1, 0, 1], device=y.device)
    images = torch.arange(len(y), device=y.device)[:, None, None]
    exists = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = (images * height + rows) * width + columns
    return torch.where(exists, index, len(y) * height * width), shares


def _fake(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    deform_groups: int,
) -> Tensor:
    return input.new_empty(input.shape[0], weight.shape[0], offset.shape[2], offset.shape[3])


OP = define_differentiable(
    "deform_conv2d(Tensor input, Tensor offset, Tensor? mask, Tensor weight, int[] stride, int[] padding,"
    " int[] dilation, int groups, int deform_groups) -> Tensor",
    reference=_reference,
    fake=_fake,
    wrt=["input", "offset", "mask", "weight"],
)
