"""Learning rates that fall with the distance from the output (ELECTRA's and BEiT's rule, arXiv:2003.10555 app. A)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn import Parameter

from mimctl.engine.optim.constructor import DefaultOptimWrapperConstructor, Group
from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mimctl.errors import ConfigError

LayerDepth = Callable[[str], tuple[int, int]]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Multiply learning rates by `layer_decay_rate` for each layer between a parameter and the output.

    A model says where a parameter lies: `get_layer_depth(name)` returns its layer, counted from 0 at the input, and the
    number of layers; a backbone may say it for its model, `get_layer_depth(name, prefix)`. Of the other rules those
    for the weight decay hold: `custom_keys` with `decay_mult`, `norm_decay_mult`, `bias_decay_mult`, `flat_decay_mult`.
    Groups carry their `layer_id`. Raises ConfigError for a model that does not say and for factors of rates.
    """

    paramwise_keys: tuple[str, ...] = (
        "layer_decay_rate",
        "custom_keys",
        "norm_decay_mult",
        "bias_decay_mult",
        "flat_decay_mult",
        "bypass_duplicate",
    )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the wrapper for `model`'s parameters."""
        self._depth_of = _layer_depth(getattr(model, "module", model))
        return super().__call__(model)

    def options_of(self, name: str, owner: nn.Module, param: Parameter, *, inside_dcn: bool) -> Group:
        """Return the options of one parameter: its layer, the layer's learning rate, its weight decay."""
        assert self.base_lr is not None  # checked when the constructor was built
        key = self.custom_key_of(name)
        options: Group = dict(self.paramwise_cfg["custom_keys"][key]) if key is not None else {}
        decay_mult = options.pop("decay_mult", None)
        if key is None and self.base_wd is not None:
            decay_mult = self._decay_mult(name, owner, param, inside_dcn=False)
        if self.base_wd is not None:
            options["weight_decay"] = self.base_wd * (1.0 if decay_mult is None else decay_mult)
        layer, num_layers = self._depth_of(name)
        rate: float = self.paramwise_cfg.get("layer_decay_rate", 1.0)
        return {**options, "lr": self.base_lr * rate ** (num_layers - layer - 1), "layer_id": layer}

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        if self.base_lr is None:
            raise ConfigError("the layers' rates are shares of `lr`, and the optimizer's config has none")
        for key, value in self.paramwise_cfg.get("custom_keys", {}).items():
            if "lr_mult" in value or "lr" in value:
                raise ConfigError(
                    f"`paramwise_cfg.custom_keys.{key}` sets a learning rate, which the layer's depth decides here",
                    hints=["leave it out, or take the default constructor"],
                )


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningRateDecayOptimizerConstructor(LearningRateDecayOptimWrapperConstructor):
    """Do the same under MMDetection's name and options: `decay_rate`, `num_layers`, `decay_type="layer_wise"`.

    `num_layers` leaves the first and the last layer out, as there. Parameters with one dimension and biases get no
    weight decay. Raises ConfigError for another number of layers than the model says and for another `decay_type`.
    """

    paramwise_keys = ("num_layers", "decay_rate", "decay_type", "bypass_duplicate")

    def options_of(self, name: str, owner: nn.Module, param: Parameter, *, inside_dcn: bool) -> Group:
        """Return the options of one parameter: its layer, the layer's learning rate, its weight decay."""
        assert self.base_lr is not None  # checked when the constructor was built
        layer, num_layers = self._depth_of(name)
        given: int = self.paramwise_cfg["num_layers"]
        if num_layers != given + 2:
            raise ConfigError(
                f"`paramwise_cfg.num_layers` is {given}, and the model has {num_layers - 2} between its first and last",
                code="contradiction",
            )
        options: Group = {"lr": self.base_lr * self.paramwise_cfg["decay_rate"] ** (num_layers - layer - 1)}
        if self.base_wd is not None:
            options["weight_decay"] = 0.0 if param.ndim == 1 or name.endswith(".bias") else self.base_wd
        return {**options, "layer_id": layer}

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        for key in ("num_layers", "decay_rate"):
            if key not in self.paramwise_cfg:
                raise ConfigError(f"`{type(self).__name__}` needs `paramwise_cfg.{key}`", code="missing-argument")
        kind = self.paramwise_cfg.get("decay_type", "layer_wise")
        if kind != "layer_wise":
            raise ConfigError(f"`paramwise_cfg.decay_type` is `layer_wise` here, not `{kind}`", code="bad-value")


def _layer_depth(model: nn.Module) -> LayerDepth:
    own: Any = getattr(model, "get_layer_depth", None)
    if own is not None:
        found: LayerDepth = own
        return found
    backbone: Any = getattr(model, "backbone", None)
    if hasattr(backbone, "get_layer_depth"):
        return lambda name: backbone.get_layer_depth(name, "backbone.")
    raise ConfigError(
        f"`{type(model).__name__}` does not say at which depth its layers lie",
        causes=["neither the model nor its backbone has `get_layer_depth`"],
        hints=["take the default constructor, or give the model `get_layer_depth(name) -> (layer, number of layers)`"],
    )
