"""Reading checkpoints of others: looked into first, then read by torch with `weights_only`."""

from __future__ import annotations

from mimctl.engine.checkpoints.untrusted.files import RefusedError, look_into
from mimctl.engine.checkpoints.untrusted.pickles import MalformedError, printable
from mimctl.engine.checkpoints.untrusted.stand_ins import Inert, numpy_globals, settled, stand_ins

__all__ = [
    "Inert",
    "MalformedError",
    "RefusedError",
    "look_into",
    "numpy_globals",
    "printable",
    "settled",
    "stand_ins",
]
