"""Parameter groups: which learning rate and weight decay each parameter gets (`paramwise_cfg`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn import GroupNorm, LayerNorm, Parameter

from mimctl.engine.optim.custom_keys import check_custom_keys
from mimctl.engine.optim.group_table import group_table
from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, did_you_mean, nearest

Group = dict[str, Any]

_DECAY_KEYS = ("bias_decay_mult", "norm_decay_mult", "flat_decay_mult", "dwconv_decay_mult")
_RATE_KEYS = ("bias_lr_mult", "dcn_offset_lr_mult")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DefaultOptimWrapperConstructor:
    """Build an optimizer wrapper whose parameter groups follow `paramwise_cfg`.

    - `custom_keys`: part of a parameter's name → `dict(lr_mult=…, decay_mult=…, any other group option)`; the
      longest key that is part of the name wins, and no other rule applies to that parameter.
    - `bias_lr_mult`, `bias_decay_mult`: biases, but for the rate of norms and for what lies inside deformable
      convolutions.
    - `norm_decay_mult`: norm layers. `dwconv_decay_mult`: depth-wise convolutions. `flat_decay_mult`: other
      1-d parameters. `dcn_offset_lr_mult`: the offset layer inside deformable convolutions.
    - `bypass_duplicate`: take a shared parameter once, where it comes first.

    Parameters with equal options share a group, so that an optimizer updates them together. Frozen parameters are in
    the group that they would train in. Subclasses give other rules by `add_params` or `options_of`, and the names of
    their options by `paramwise_keys`.

    Raises ConfigError for unknown options, for factors of a rate or decay that the optimizer's config does not have,
    for a custom key that is part of no parameter's name and for a shared parameter without `bypass_duplicate`.
    """

    paramwise_keys: tuple[str, ...] = ("custom_keys", *_DECAY_KEYS, *_RATE_KEYS, "bypass_duplicate")

    def __init__(self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.optim_wrapper_cfg.pop("optimizer", None) or {})
        if not self.optimizer_cfg:
            raise ConfigError("`optim_wrapper` needs `optimizer`", hints=["write `optimizer=dict(type='SGD', lr=…)`"])
        self.paramwise_cfg = dict(paramwise_cfg or {})
        self.base_lr: float | None = self.optimizer_cfg.get("lr")
        self.base_wd: float | None = self.optimizer_cfg.get("weight_decay")
        self._taken: set[int] = set()
        self._validate_cfg()

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the wrapper for `model`'s parameters."""
        model = getattr(model, "module", model)
        if self.paramwise_cfg:
            check_custom_keys(self.paramwise_cfg.get("custom_keys", {}), model)
            self._taken.clear()
            single: list[Group] = []
            self.add_params(single, model)
            params: Any = merged(single)
        else:
            params = list(model.parameters())
        optimizer = OPTIMIZERS.build(self.optimizer_cfg, params=params)
        if len(optimizer.param_groups) > 1:
            get_logger().info("%s", group_table(optimizer, model))
        wrapper: OptimWrapper = OPTIM_WRAPPERS.build(
            {"type": "OptimWrapper", **self.optim_wrapper_cfg}, optimizer=optimizer
        )
        return wrapper

    def add_params(
        self, params: list[Group], module: nn.Module, prefix: str = "", is_dcn_module: bool | None = None
    ) -> None:
        """Add a group for each parameter of a module and of those inside it.

        `prefix` is the module's own name, `is_dcn_module` whether it lies right inside a deformable convolution.
        """
        for name, param in module.named_parameters(recurse=False):
            full_name = f"{prefix}.{name}" if prefix else name
            if id(param) in self._taken:
                if self.paramwise_cfg.get("bypass_duplicate"):
                    continue
                raise ConfigError(
                    f"the parameter `{full_name}` is shared and would be in two groups",
                    hints=["set `paramwise_cfg.bypass_duplicate=True`"],
                )
            self._taken.add(id(param))
            options = self.options_of(full_name, module, param, inside_dcn=bool(is_dcn_module))
            params.append({"params": [param], **options})
        for name, child in module.named_children():
            self.add_params(params, child, f"{prefix}.{name}" if prefix else name, _is_deformable(module))

    def options_of(self, name: str, owner: nn.Module, param: Parameter, *, inside_dcn: bool) -> Group:
        """Return the options of one parameter of the module `owner` that differ from the optimizer's."""
        custom = self._custom_options(name)
        if custom is not None:
            return custom
        options: Group = {}
        lr_mult = self._lr_mult(name, owner, inside_dcn=inside_dcn)
        if lr_mult is not None and self.base_lr is not None:
            options["lr"] = self.base_lr * lr_mult
        decay_mult = None if self.base_wd is None else self._decay_mult(name, owner, param, inside_dcn=inside_dcn)
        if decay_mult is not None and self.base_wd is not None:
            options["weight_decay"] = self.base_wd * decay_mult
        return options

    def custom_key_of(self, name: str) -> str | None:
        """Return the longest custom key that is part of a name (of equally long ones the first in the alphabet)."""
        keys = sorted(sorted(self.paramwise_cfg.get("custom_keys", {})), key=len, reverse=True)
        return next((key for key in keys if key in name), None)

    def _custom_options(self, name: str) -> Group | None:
        key = self.custom_key_of(name)
        if key is None:
            return None
        given = dict(self.paramwise_cfg["custom_keys"][key])
        lr_mult, decay_mult = given.pop("lr_mult", 1.0), given.pop("decay_mult", 1.0)
        options: Group = {}
        if self.base_lr is not None:
            options["lr"] = self.base_lr * lr_mult
        if self.base_wd is not None:
            options["weight_decay"] = self.base_wd * decay_mult
        return {**options, **given}

    def _lr_mult(self, name: str, owner: nn.Module, *, inside_dcn: bool) -> float | None:
        rules: dict[str, float] = self.paramwise_cfg
        if inside_dcn:
            is_offset = "conv_offset" in name.rpartition(".")[0] and isinstance(owner, nn.Conv2d)
            return rules.get("dcn_offset_lr_mult") if is_offset else None
        return rules.get("bias_lr_mult") if _is_bias(name) and not is_norm(owner) else None

    def _decay_mult(self, name: str, owner: nn.Module, param: Parameter, *, inside_dcn: bool) -> float | None:
        rules: dict[str, float] = self.paramwise_cfg
        applies = {
            "norm_decay_mult": is_norm(owner),
            "bias_decay_mult": _is_bias(name) and not inside_dcn,
            "dwconv_decay_mult": _is_depthwise(owner),
            "flat_decay_mult": param.ndim == 1 and not inside_dcn,
        }
        return next((rules[rule] for rule, holds in applies.items() if holds and rules.get(rule) is not None), None)

    def _validate_cfg(self) -> None:
        for key in self.paramwise_cfg:
            if key not in self.paramwise_keys:
                near = did_you_mean(nearest(key, self.paramwise_keys, most=1))
                hints = near or [f"it has {', '.join(self.paramwise_keys)}"]
                raise ConfigError(f"`paramwise_cfg` has no option `{key}`", code="bad-argument", hints=hints)
        custom = self.paramwise_cfg.get("custom_keys", {})
        if not isinstance(custom, Mapping):
            raise ConfigError(f"`paramwise_cfg.custom_keys` must be a dict, got {type(custom).__name__}")
        needs = [(self.base_wd, "weight_decay", _DECAY_KEYS, "decay_mult"), (self.base_lr, "lr", _RATE_KEYS, "lr_mult")]
        for held, option, rules, factor in needs:
            scaling = [rule for rule in rules if self.paramwise_cfg.get(rule) is not None]
            scaling += [f"custom_keys.{key}" for key, value in custom.items() if factor in value]
            if scaling and held is None:
                raise ConfigError(
                    f"`paramwise_cfg.{scaling[0]}` scales `{option}`, but the optimizer's config has no `{option}`",
                    hints=[f"set `optim_wrapper.optimizer.{option}`"],
                )


def merged(groups: list[Group]) -> list[Group]:
    """Return one group for each combination of options, in the order in which they first appear."""
    found: dict[str, Group] = {}
    for group in groups:
        options = {key: value for key, value in group.items() if key != "params"}
        found.setdefault(repr(sorted(options.items())), {"params": [], **options})["params"] += group["params"]
    return list(found.values())


def is_norm(module: nn.Module) -> bool:
    """Return whether a module is a norm layer."""
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, GroupNorm, LayerNorm)
    return isinstance(module, kinds)


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "bias"


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.in_channels == module.groups


def _is_deformable(module: nn.Module) -> bool:
    return type(module).__name__.startswith(("DeformConv2d", "ModulatedDeformConv2d", "DeformConv"))
