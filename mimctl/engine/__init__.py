"""The engine that all toolboxes share: registry, runner, hooks, data, evaluation, checkpoints. It knows no task.

The names that people know from MMEngine are imported from here, each at its first use.
"""

from __future__ import annotations

from mimctl.late_imports import late_imports
from mimctl.names import ENGINE

__all__ = sorted(ENGINE)
__getattr__, __dir__ = late_imports(__name__, ENGINE)
