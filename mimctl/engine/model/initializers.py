"""Initial weights by config: `dict(type='Kaiming', layer='Conv2d')`, `override`, pretrained checkpoints.

The names and arguments are MMEngine's. A bias is set to `bias`, or so that a sigmoid gives `bias_prob` (Focal Loss,
Lin et al. 2017, section 4.1).
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mimctl.engine.registry import WEIGHT_INITIALIZERS
from mimctl.errors import ConfigError, MimctlError

if TYPE_CHECKING:
    from mimctl.engine.checkpoints.checkpoint import LoadReport

_MISSING_ALLOWED: contextvars.ContextVar[bool] = contextvars.ContextVar("mimctl_missing_pretrained", default=False)


@contextlib.contextmanager
def allow_missing_pretrained() -> Iterator[None]:
    """Warn instead of raising where pretrained weights of an `init_cfg` are absent, while the block runs.

    For runs whose weights come from elsewhere in any case: `load_from`, resume, a checkpoint to test.
    """
    token = _MISSING_ALLOWED.set(True)
    try:
        yield
    finally:
        _MISSING_ALLOWED.reset(token)


def bias_init_with_prob(prior_prob: float) -> float:
    """Return the bias at which a sigmoid gives `prior_prob`."""
    return -math.log((1 - prior_prob) / prior_prob)


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Fill the weight with `val` and the bias with `bias`."""
    _fill(module, lambda weight: nn.init.constant_(weight, val), bias)


def xavier_init(module: nn.Module, gain: float = 1, bias: float = 0, distribution: str = "normal") -> None:
    """Fill the weight after Glorot & Bengio 2010; `distribution` is 'normal' or 'uniform'."""
    fill = _by_distribution(distribution, nn.init.xavier_normal_, nn.init.xavier_uniform_)
    _fill(module, lambda weight: fill(weight, gain=gain), bias)


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Fill the weight from a normal distribution."""
    _fill(module, lambda weight: nn.init.normal_(weight, mean, std), bias)


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Fill the weight from a normal distribution cut off at `a` and `b`."""
    _fill(module, lambda weight: nn.init.trunc_normal_(weight, mean, std, a, b), bias)


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Fill the weight uniformly from [a, b]."""
    _fill(module, lambda weight: nn.init.uniform_(weight, a, b), bias)


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: str = "fan_out",
    nonlinearity: str = "relu",
    bias: float = 0,
    distribution: str = "normal",
) -> None:
    """Fill the weight after He et al. 2015; `distribution` is 'normal' or 'uniform'."""
    fill: Any = _by_distribution(distribution, nn.init.kaiming_normal_, nn.init.kaiming_uniform_)
    _fill(module, lambda weight: fill(weight, a=a, mode=mode, nonlinearity=nonlinearity), bias)


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Fill the weight as Caffe2's XavierFill does: uniform with variance 1 / fan_in."""
    kaiming_init(module, a=1, mode="fan_in", nonlinearity="leaky_relu", bias=bias, distribution="uniform")


class BaseInit:
    """Apply one rule to every module whose class (or, by the name `_BatchNorm` and kin, base class) is in `layer`."""

    def __init__(
        self, *, bias: float = 0, bias_prob: float | None = None, layer: str | Sequence[str] | None = None
    ) -> None:
        if layer is not None and not isinstance(layer, str | list | tuple):
            raise TypeError(f"`layer` must be a name or a list of names, not {layer!r}")
        self.bias = bias if bias_prob is None else bias_init_with_prob(bias_prob)
        self.layers = [layer] if isinstance(layer, str) else list(layer or ())
        self.everywhere = False

    def __call__(self, module: nn.Module) -> None:
        """Initialise `module` and everything below it."""
        for each in module.modules():
            if self.everywhere or self.layers_of(each) & set(self.layers):
                self.apply(each)

    @staticmethod
    def layers_of(module: nn.Module) -> set[str]:
        """Return the names by which `layer` may name a module."""
        bases = {base.__name__ for base in type(module).__mro__}
        return {type(module).__name__} | (bases & {"_BatchNorm", "_InstanceNorm", "_ConvNd"})

    def apply(self, module: nn.Module) -> None:
        """Initialise one module."""
        raise NotImplementedError


@WEIGHT_INITIALIZERS.register_module(name=["Constant", "ConstantInit"])
class ConstantInit(BaseInit):
    """Fill with one value."""

    def __init__(self, val: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.val = val

    def apply(self, module: nn.Module) -> None:
        """Initialise one module."""
        constant_init(module, self.val, self.bias)


@WEIGHT_INITIALIZERS.register_module(name=["Xavier", "XavierInit"])
class XavierInit(BaseInit):
    """Fill after Glorot & Bengio 2010."""

    def __init__(self, gain: float = 1, distribution: str = "normal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gain, self.distribution = gain, distribution

    def apply(self, module: nn.Module) -> None:
        """Initialise one module."""
        xavier_init(module, self.gain, self.bias, self.distribution)


@WEIGHT_INITIALIZERS.register_module(name=["Normal", "NormalInit"])
class NormalInit(BaseInit):
    """Fill from a normal distribution."""

    def __init__(self, mean: float = 0, std: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = mean, std

    def apply(self, module: nn.Module) -> None:
        """Initialise one module."""
        normal_init(module, self.mean, self.std, self.bias)


@WEIGHT_INITIALIZERS.register_module(name=["TruncNormal", "TruncNormalInit"])
class TruncNormalInit(BaseInit):
    """Fill from a truncated normal distribution."""

    def __init__(self, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std, self.a, self.b = mean, std, a, b

    def apply(self, module: nn.Module) -> None:
        """Initialise one module."""
        trunc_normal_init(module, self.mean, self.std, self.a, self.b, self.bias)


@WEIGHT_INITIALIZERS.register_module(name=["Uniform", "UniformInit"])
class UniformInit(BaseInit):
    """Fill uniformly."""

    def __init__(self, a: float = 0.0, b: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a, self.b = a, b

    def apply(self, module: nn.Module) -> None:
        """Initialise one module."""
        uniform_init(module, self.a, self.b, self.bias)


@WEIGHT_INITIALIZERS.register_module(name=["Kaiming", "KaimingInit"])
class KaimingInit(BaseInit):
    """Fill after He et al. 2015."""

    def __init__(
        self,
        a: float = 0,
        mode: str = "fan_out",
        nonlinearity: str = "relu",
        distribution: str = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.a, self.mode, self.nonlinearity, self.distribution = a, mode, nonlinearity, distribution

    def apply(self, module: nn.Module) -> None:
        """Initialise one module."""
        kaiming_init(module, self.a, self.mode, self.nonlinearity, self.bias, self.distribution)


@WEIGHT_INITIALIZERS.register_module(name=["Caffe2Xavier", "Caffe2XavierInit"])
class Caffe2XavierInit(KaimingInit):
    """Fill as Caffe2's XavierFill does."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(a=1, mode="fan_in", nonlinearity="leaky_relu", distribution="uniform", **kwargs)


@WEIGHT_INITIALIZERS.register_module(name=["Pretrained", "PretrainedInit"])
class PretrainedInit:
    """Load a checkpoint: a path, or an address that was fetched before the run (the engine itself fetches nothing).

    `prefix` selects the part of the checkpoint whose keys begin so, and strips it; a name `mmcls://…` means the
    backbone of a classifier without more words. Raises MimctlError where the checkpoint is absent, unless
    `allow_missing_pretrained` is in force; ConfigError[bad-init-cfg] where nothing begins with `prefix`,
    MimctlError[weights-mismatch] where no tensor fits the module.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: str | None = None) -> None:
        self.checkpoint, self.prefix, self.map_location = checkpoint, prefix, map_location

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into `module`; what only one side has, or in another shape, is logged."""
        from mimctl.engine.checkpoints import checkpoint as files
        from mimctl.engine.reporting.log import get_logger

        try:
            files.resolve(self.checkpoint)
        except MimctlError as err:
            if not _MISSING_ALLOWED.get():
                raise
            get_logger().warning("pretrained weights left out (%s): this run loads a whole checkpoint", err.message)
            return
        state = files.read_checkpoint(self.checkpoint, map_location=self.map_location or "cpu")
        weights = state["state_dict"]
        if self.prefix:
            weights = files.below_prefix(weights, self.prefix, self.checkpoint)
        report = files.load_state_dict(module, weights, strict=False)
        if not report.loaded:
            raise _nothing_fits(self.checkpoint, module, report)
        if not report.is_complete:
            get_logger().warning("%s into %s: %s", self.checkpoint, type(module).__name__, report.summary())


def initialize(module: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Initialise `module` as `init_cfg` says: one config or several in turn.

    A config has `layer` (class names) or `override` (configs with `name`, a child of `module`, that win over it).
    """
    for cfg in [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg:
        own = dict(cfg)
        override = own.pop("override", None)
        rule = WEIGHT_INITIALIZERS.build(own)
        if isinstance(rule, BaseInit):
            # Neither `layer` nor `override`: the rule is for every module.
            rule.everywhere = not rule.layers and override is None
        rule(module)
        for each in [override] if isinstance(override, Mapping) else override or ():
            _initialize_child(module, dict(each), own)


def is_pretrained(cfg: Mapping[str, Any]) -> bool:
    """Say whether an initialiser's config loads a checkpoint."""
    kind = cfg["type"]
    return kind is PretrainedInit or (isinstance(kind, str) and kind.rpartition(".")[2].startswith("Pretrained"))


def _initialize_child(module: nn.Module, override: dict[str, Any], outer: dict[str, Any]) -> None:
    name = override.pop("name", None)
    child = getattr(module, name, None) if isinstance(name, str) else None
    if not isinstance(child, nn.Module):
        raise ConfigError(
            f"`override` of an init_cfg names {name!r}, but {type(module).__name__} has no such module",
            code="bad-init-cfg",
        )
    if "type" not in override:
        if override:
            raise ConfigError(f"`override` of `{name}` in an init_cfg has no `type`", code="bad-init-cfg")
        override = {key: value for key, value in outer.items() if key != "layer"}
    initialize(child, override)


def _fill(module: nn.Module, fill: Any, bias: float) -> None:
    weight, own_bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(weight, Tensor):
        fill(weight)
    if isinstance(own_bias, Tensor):
        nn.init.constant_(own_bias, bias)


def _by_distribution(distribution: str, normal: Any, uniform: Any) -> Any:
    if distribution not in ("normal", "uniform"):
        raise ConfigError(f"`distribution` must be 'normal' or 'uniform', not {distribution!r}", code="bad-init-cfg")
    return uniform if distribution == "uniform" else normal


def _nothing_fits(source: str, module: nn.Module, report: LoadReport) -> MimctlError:
    """Return the error for weights of which none fits `module`, with the `prefix` that would select some."""
    own = set(report.missing)
    parts = (key.split(".") for key in report.unexpected)
    stems = Counter(".".join(key[:n]) for key in parts for n in range(1, len(key)) if ".".join(key[n:]) in own)
    best = [stem for stem, _ in stems.most_common(1)]
    return MimctlError(
        f"no tensor of `{source}` fits {type(module).__name__}",
        code="weights-mismatch",
        causes=[report.summary()],
        hints=[f"select the part that fits: `init_cfg=dict(type='Pretrained', checkpoint=…, prefix='{best[0]}')`"]
        if best
        else ["check that the weights are of this model"],
    )
