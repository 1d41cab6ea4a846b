"""Parameter groups: which learning rate and weight decay each parameter gets (`paramwise_cfg`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn import GroupNorm, LayerNorm, Parameter

from mimctl.config.checking.parameters import unmatched
from mimctl.config.language.limits import origin_of
from mimctl.config.tables.facts import names_in
from mimctl.config.tables.sources import Sources
from mimctl.config.values import ConfigDict
from mimctl.engine.log import get_logger
from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from mimctl.engine.user_types import source_of
from mimctl.errors import ConfigError, nearest

PARAMWISE_KEYS = (
    "custom_keys",
    "bias_lr_mult",
    "bias_decay_mult",
    "norm_decay_mult",
    "flat_decay_mult",
    "dwconv_decay_mult",
    "dcn_offset_lr_mult",
    "bypass_duplicate",
)
_DECAY_KEYS = ("bias_decay_mult", "norm_decay_mult", "flat_decay_mult", "dwconv_decay_mult")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DefaultOptimWrapperConstructor:
    """Build an optimizer wrapper whose parameter groups follow `paramwise_cfg`.

    - `custom_keys`: part of a parameter's name → `dict(lr_mult=…, decay_mult=…, any other group option)`; the
      longest key that is part of the name wins, and no other rule applies to that parameter.
    - `bias_lr_mult`, `bias_decay_mult`: biases of layers that are neither norms nor deformable convolutions.
    - `norm_decay_mult`: norm layers. `dwconv_decay_mult`: depth-wise convolutions. `flat_decay_mult`: other
      1-d parameters. `dcn_offset_lr_mult`: the offset layer of deformable convolutions.
    - `bypass_duplicate`: take a shared parameter once, where it comes first.

    Parameters with equal options share a group, so that an optimizer updates them together. Raises ConfigError for
    unknown options, for decay factors without a `weight_decay`, for a custom key that is part of no parameter's name.
    """

    def __init__(self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.optim_wrapper_cfg.pop("optimizer", None) or {})
        if not self.optimizer_cfg:
            raise ConfigError("`optim_wrapper` needs `optimizer`", hints=["write `optimizer=dict(type='SGD', lr=…)`"])
        self.paramwise_cfg = dict(paramwise_cfg or {})
        self.base_lr: float | None = self.optimizer_cfg.get("lr")
        self.base_wd: float | None = self.optimizer_cfg.get("weight_decay")
        self._check()

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the wrapper for `model`'s parameters."""
        model = getattr(model, "module", model)
        if self.paramwise_cfg:
            self._check_custom_keys(model)
            params: Any = self.param_groups(model)
        else:
            params = list(model.parameters())
        optimizer = OPTIMIZERS.build(self.optimizer_cfg, params=params)
        wrapper: OptimWrapper = OPTIM_WRAPPERS.build(self.optim_wrapper_cfg, optimizer=optimizer)
        return wrapper

    def param_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return one group for each combination of options, in the order in which they first appear."""
        groups: dict[str, dict[str, Any]] = {}
        seen: set[int] = set()
        for name, owner, param in _owned_parameters(model):
            if id(param) in seen:
                if self.paramwise_cfg.get("bypass_duplicate"):
                    continue
                raise ConfigError(
                    f"the parameter `{name}` is shared and would be in two groups",
                    hints=["set `paramwise_cfg.bypass_duplicate=True`"],
                )
            seen.add(id(param))
            options = self._options(name, owner, param) if param.requires_grad else {}
            group = groups.setdefault(repr(sorted(options.items())), {"params": [], **options})
            group["params"].append(param)
        return list(groups.values())

    def _options(self, name: str, owner: nn.Module, param: Parameter) -> dict[str, Any]:
        custom = self._custom_options(name)
        if custom is not None:
            return custom
        options: dict[str, Any] = {}
        lr_mult = self._lr_mult(name, owner)
        if lr_mult is not None and self.base_lr is not None:
            options["lr"] = self.base_lr * lr_mult
        decay_mult = self._decay_mult(name, owner, param)
        if decay_mult is not None and self.base_wd is not None:
            options["weight_decay"] = self.base_wd * decay_mult
        return options

    def _custom_options(self, name: str) -> dict[str, Any] | None:
        custom_keys = self.paramwise_cfg.get("custom_keys", {})
        # Longest first; of equally long keys the first in the alphabet.
        for key in sorted(sorted(custom_keys), key=len, reverse=True):
            if key not in name:
                continue
            given = dict(custom_keys[key])
            options: dict[str, Any] = {}
            if self.base_lr is not None:
                options["lr"] = self.base_lr * given.pop("lr_mult", 1.0)
            decay_mult = given.pop("decay_mult", 1.0)
            if self.base_wd is not None:
                options["weight_decay"] = self.base_wd * decay_mult
            return {**options, **given}
        return None

    def _lr_mult(self, name: str, owner: nn.Module) -> float | None:
        rules: dict[str, float] = self.paramwise_cfg
        is_dcn = _is_deformable(owner)
        if name.endswith(("conv_offset.weight", "conv_offset.bias")):
            return rules.get("dcn_offset_lr_mult")
        if name.rpartition(".")[2] == "bias" and not (_is_norm(owner) or is_dcn):
            return rules.get("bias_lr_mult")
        return None

    def _decay_mult(self, name: str, owner: nn.Module, param: Parameter) -> float | None:
        rules: dict[str, float] = self.paramwise_cfg
        is_dcn = _is_deformable(owner)
        if _is_norm(owner) and "norm_decay_mult" in rules:
            return rules["norm_decay_mult"]
        if name.rpartition(".")[2] == "bias" and not is_dcn and "bias_decay_mult" in rules:
            return rules["bias_decay_mult"]
        if _is_depthwise(owner) and "dwconv_decay_mult" in rules:
            return rules["dwconv_decay_mult"]
        if param.ndim == 1 and not is_dcn and "flat_decay_mult" in rules:
            return rules["flat_decay_mult"]
        return None

    def _check(self) -> None:
        for key in self.paramwise_cfg:
            if key not in PARAMWISE_KEYS:
                near = nearest(key, PARAMWISE_KEYS)
                hints = [f"did you mean `{near[0]}`?"] if near else [f"it has {', '.join(PARAMWISE_KEYS)}"]
                raise ConfigError(f"`paramwise_cfg` has no option `{key}`", code="bad-argument", hints=hints)
        custom = self.paramwise_cfg.get("custom_keys", {})
        if not isinstance(custom, Mapping):
            raise ConfigError(f"`paramwise_cfg.custom_keys` must be a dict, got {type(custom).__name__}")
        decays = [key for key in _DECAY_KEYS if key in self.paramwise_cfg]
        decays += [f"custom_keys.{key}" for key, value in custom.items() if "decay_mult" in value]
        if decays and self.base_wd is None:
            raise ConfigError(
                f"`paramwise_cfg.{decays[0]}` scales the weight decay, but the optimizer has no `weight_decay`",
                hints=["set `optim_wrapper.optimizer.weight_decay`"],
            )

    def _check_custom_keys(self, model: nn.Module) -> None:
        """Refuse keys that no parameter's name contains, but for names that the model's code has for other settings."""
        custom_keys = self.paramwise_cfg.get("custom_keys", {})
        names = [name for name, _ in model.named_parameters()]
        idle = [key for key in custom_keys if not any(key in name for name in names)]
        known = _names_in_code(model) if idle else set()
        for key in idle:
            if not unmatched(key, known):
                get_logger().warning("paramwise_cfg.custom_keys: this model has no parameter `%s`", key)
                continue
            near = nearest(key, _pieces(names), most=1)
            place = custom_keys.place_of(key) if isinstance(custom_keys, ConfigDict) else None
            raise ConfigError(
                f"`paramwise_cfg.custom_keys` names `{key}`, which is part of no parameter's name",
                code="unknown-parameter",
                hints=[f"did you mean `{each}`?" for each in near],
                origin=origin_of(place) if place else None,
            )


def _pieces(names: list[str]) -> set[str]:
    """Return every run of whole parts of names, as keys are usually written: `backbone`, `backbone.0`, `0.weight`."""
    split = [name.split(".") for name in names]
    return {
        ".".join(parts[start:end])
        for parts in split
        for start in range(len(parts))
        for end in range(start + 1, len(parts) + 1)
    }


def _names_in_code(model: nn.Module) -> set[str]:
    """Return the names that a model's classes give to parts and parameters in their source, whatever the settings."""
    sources = Sources({})
    found: set[str] = set()
    for cls in {each for part in model.modules() for each in type(part).__mro__}:
        module = (
            None if cls.__module__.partition(".")[0] in ("torch", "builtins") else source_of(sources, cls.__module__)
        )
        node = module.definitions.get(cls.__name__) if module is not None else None
        found.update(names_in([node] if node is not None else []))
    return found


def _owned_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Module, Parameter]]:
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, param in module.named_parameters(recurse=False, remove_duplicate=False):
            yield (f"{prefix}.{name}" if prefix else name), module, param


def _is_norm(module: nn.Module) -> bool:
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, GroupNorm, LayerNorm)
    return isinstance(module, kinds)


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.in_channels == module.groups


def _is_deformable(module: nn.Module) -> bool:
    return type(module).__name__.startswith(("DeformConv2d", "ModulatedDeformConv2d", "DeformConv"))
