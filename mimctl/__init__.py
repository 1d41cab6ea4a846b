"""From a bare machine to a trained vision model: the verbs of the command line as typed functions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing.TYPE_CHECKING without the price of importing typing at start-up
    from mimctl.api import (
        build_index,
        build_wheels,
        bundle,
        cancel,
        describe_data,
        doctor,
        download,
        env,
        expand_matrix,
        explain,
        get_model_info,
        infer,
        install,
        lint_config,
        list_package,
        lock,
        logs,
        look_at,
        port,
        read_axes,
        resume,
        run,
        search,
        show_config,
        show_settings,
        status,
        sweep,
        sweep_report,
        sync,
        test,
        trace_config,
        train,
        uninstall,
        upgrade,
        yank_wheels,
    )
    from mimctl.installer.locking.requests import LockOptions
    from mimctl.installer.model import InstallOptions
    from mimctl.launch.inferring import InferOptions
    from mimctl.launch.model import ConfigOptions, LaunchOptions
    from mimctl.launch.sweep.model import SweepOptions
    from mimctl.launch.verbs import TrainOptions

__version__ = "0.1.0"

_OPTIONS = {
    "ConfigOptions": "mimctl.launch.model",
    "InferOptions": "mimctl.launch.inferring",
    "InstallOptions": "mimctl.installer.model",
    "LaunchOptions": "mimctl.launch.model",
    "LockOptions": "mimctl.installer.locking.requests",
    "SweepOptions": "mimctl.launch.sweep.model",
    "TrainOptions": "mimctl.launch.verbs",
}
"""What the verbs take, and where it stands."""

__all__ = [
    "ConfigOptions",
    "InferOptions",
    "InstallOptions",
    "LaunchOptions",
    "LockOptions",
    "SweepOptions",
    "TrainOptions",
    "__version__",
    "build_index",
    "build_wheels",
    "bundle",
    "cancel",
    "describe_data",
    "doctor",
    "download",
    "env",
    "expand_matrix",
    "explain",
    "get_model_info",
    "infer",
    "install",
    "lint_config",
    "list_package",
    "lock",
    "logs",
    "look_at",
    "port",
    "read_axes",
    "resume",
    "run",
    "search",
    "show_config",
    "show_settings",
    "status",
    "sweep",
    "sweep_report",
    "sync",
    "test",
    "trace_config",
    "train",
    "uninstall",
    "upgrade",
    "yank_wheels",
]


def __getattr__(name: str) -> object:
    """Load a verb on first use, so that `import mimctl` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'mimctl' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_OPTIONS.get(name, "mimctl.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
