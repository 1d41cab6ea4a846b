"""Every optimizer of `torch.optim` under its own name."""

import torch.optim

from mimctl.engine.registry import OPTIMIZERS

OPTIMIZERS.register_module(name="ASGD", module=torch.optim.ASGD)
OPTIMIZERS.register_module(name="Adadelta", module=torch.optim.Adadelta)
OPTIMIZERS.register_module(name="Adafactor", module=torch.optim.Adafactor)
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
