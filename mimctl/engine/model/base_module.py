"""Modules that know how their weights start: `init_cfg` is applied by `init_weights`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from mimctl.engine.model.initializers import initialize, is_pretrained

InitCfg = Mapping[str, Any] | list[Mapping[str, Any]] | None


class BaseModule(nn.Module):
    """A module with an optional `init_cfg`: one initialiser's config or a list of them."""

    def __init__(self, init_cfg: InitCfg = None) -> None:
        super().__init__()
        self.init_cfg: Any = copy.deepcopy(init_cfg)
        self._is_init = False

    @property
    def is_init(self) -> bool:
        """Say whether `init_weights` has run."""
        return self._is_init

    def init_weights(self) -> None:
        """Initialise this module and all below it, once.

        Order: own initialisers, then the children's, then own pretrained weights, so that nothing overwrites them.
        """
        if self._is_init:
            return
        cfgs = _as_list(self.init_cfg)
        initialize(self, [cfg for cfg in cfgs if not is_pretrained(cfg)])
        for child in self.children():
            init_weights_below(child)
        initialize(self, [cfg for cfg in cfgs if is_pretrained(cfg)])
        self._is_init = True


def init_weights_below(module: nn.Module) -> None:
    """Call `init_weights` of a module if it has one, else of the nearest modules below it that do."""
    own = getattr(module, "init_weights", None)
    if not callable(own):
        for child in module.children():
            init_weights_below(child)
    elif not getattr(module, "is_init", False):
        own()


def _as_list(cfg: InitCfg) -> list[Mapping[str, Any]]:
    if not cfg:
        return []
    return [cfg] if isinstance(cfg, Mapping) else list(cfg)


class Sequential(BaseModule, nn.Sequential):
    """`nn.Sequential` with an `init_cfg`."""

    def __init__(self, *args: Any, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.Sequential.__init__(self, *args)


class ModuleList(BaseModule, nn.ModuleList):
    """`nn.ModuleList` with an `init_cfg`."""

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleList.__init__(self, modules)


class ModuleDict(BaseModule, nn.ModuleDict):
    """`nn.ModuleDict` with an `init_cfg`."""

    def __init__(self, modules: Mapping[str, nn.Module] | None = None, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleDict.__init__(self, modules)
