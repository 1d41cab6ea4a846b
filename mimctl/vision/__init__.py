"""What two toolboxes need of vision: layers, backbones, necks, losses, structures, transforms, drawing.

The names that people know from MMCV are imported from here, each at its first use.
"""

from __future__ import annotations

from mimctl.late_imports import late_imports
from mimctl.names import VISION

__all__ = sorted(VISION)
__getattr__, __dir__ = late_imports(__name__, VISION)
