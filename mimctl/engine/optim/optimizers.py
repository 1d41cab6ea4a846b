"""Every optimizer of `torch.optim` under its own name, and those of other packages, imported at their first use."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch.optim
from torch.optim import Optimizer

from mimctl.engine.registry import OPTIMIZERS
from mimctl.errors import ConfigError

OPTIMIZERS.register_module(name="ASGD", module=torch.optim.ASGD)
OPTIMIZERS.register_module(name="Adadelta", module=torch.optim.Adadelta)
OPTIMIZERS.register_module(name="Adafactor", module=torch.optim.Adafactor)
OPTIMIZERS.register_module(name="TorchAdafactor", module=torch.optim.Adafactor)
OPTIMIZERS.register_module(name="Adagrad", module=torch.optim.Adagrad)
OPTIMIZERS.register_module(name="Adam", module=torch.optim.Adam)
OPTIMIZERS.register_module(name="AdamW", module=torch.optim.AdamW)
OPTIMIZERS.register_module(name="Adamax", module=torch.optim.Adamax)
OPTIMIZERS.register_module(name="LBFGS", module=torch.optim.LBFGS)
OPTIMIZERS.register_module(name="NAdam", module=torch.optim.NAdam)
OPTIMIZERS.register_module(name="RAdam", module=torch.optim.RAdam)
OPTIMIZERS.register_module(name="RMSprop", module=torch.optim.RMSprop)
OPTIMIZERS.register_module(name="Rprop", module=torch.optim.Rprop)
OPTIMIZERS.register_module(name="SGD", module=torch.optim.SGD)
OPTIMIZERS.register_module(name="SparseAdam", module=torch.optim.SparseAdam)


def _elsewhere(name: str, package: str, distribution: str) -> Callable[..., Optimizer]:
    """Return what builds an optimizer of another package; ConfigError[missing-extra] where that is not installed."""

    def build(params: Any, **options: Any) -> Optimizer:
        try:
            found = getattr(importlib.import_module(package), name)
        except ImportError as err:
            raise ConfigError(
                f"the optimizer `{name}` is in the package {distribution}, which cannot be imported here: {err}",
                code="missing-extra",
                hints=[f"install it into the environment that trains: `pip install {distribution}`"],
            ) from err
        made: Optimizer = found(params, **options)
        return made

    return build


def muon(params: Any, **options: Any) -> Optimizer:
    """Build torch's Muon, which is for matrices alone; ConfigError before torch 2.9."""
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(f"`Muon` came with torch 2.9, and this is {torch.__version__}")
    made: Optimizer = torch.optim.Muon(params, **options)
    return made


OPTIMIZERS.register_module(name="Muon", module=muon)
OPTIMIZERS.register_module(name="Lion", module=_elsewhere("Lion", "lion_pytorch", "lion-pytorch"))
OPTIMIZERS.register_module(name="DAdaptAdaGrad", module=_elsewhere("DAdaptAdaGrad", "dadaptation", "dadaptation"))
OPTIMIZERS.register_module(name="DAdaptAdam", module=_elsewhere("DAdaptAdam", "dadaptation", "dadaptation"))
OPTIMIZERS.register_module(name="DAdaptSGD", module=_elsewhere("DAdaptSGD", "dadaptation", "dadaptation"))
OPTIMIZERS.register_module(name="Adam8bit", module=_elsewhere("Adam8bit", "bitsandbytes.optim", "bitsandbytes"))
OPTIMIZERS.register_module(name="AdamW8bit", module=_elsewhere("AdamW8bit", "bitsandbytes.optim", "bitsandbytes"))
OPTIMIZERS.register_module(name="SGD8bit", module=_elsewhere("SGD8bit", "bitsandbytes.optim", "bitsandbytes"))
OPTIMIZERS.register_module(name="Lion8bit", module=_elsewhere("Lion8bit", "bitsandbytes.optim", "bitsandbytes"))
OPTIMIZERS.register_module(name="PagedAdamW", module=_elsewhere("PagedAdamW", "bitsandbytes.optim", "bitsandbytes"))
