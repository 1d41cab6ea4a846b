"""Vision operators for PyTorch: `mimctl_ops.nms`, compiled where this build has a library, pure PyTorch elsewhere.

Importing this package registers `torch.ops.mimctl_ops.*`. `build_info()` says what the operators were compiled with
and whether the library could be loaded.
"""

from mimctl_ops.boxes import nms
from mimctl_ops.library import BuildInfo, OpsLoadWarning, build_info, load

load()

__all__ = ["BuildInfo", "OpsLoadWarning", "build_info", "nms"]
