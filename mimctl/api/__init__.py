"""The verbs as typed functions: what `mimctl <verb>` does, returning the same data.

Functions take `settings` (see `mimctl.settings.load`; loaded where not given) and raise MimctlError; none prints.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing.TYPE_CHECKING without the price of importing typing at start-up
    from mimctl.api.authoring import check_plugin, new_plugin
    from mimctl.api.bundling import Extras, bundle, install_bundled, open_bundle, prepare_bundled
    from mimctl.api.configs import Linted, lint_config, show_config, trace_config
    from mimctl.api.datasets import DownloadedData, ListedData, download_dataset, list_datasets
    from mimctl.api.installing import (
        find_own_upgrade,
        install,
        prepare_install,
        prepare_uninstall,
        prepare_upgrade,
        repair,
        uninstall,
        upgrade,
    )
    from mimctl.api.keeping import Share, cache_clean, cache_dir, cache_prune, cache_size
    from mimctl.api.locking import LOCK_FILE, lock, prepare_sync, sync
    from mimctl.api.looking import Listing, doctor, env, find_unfinished, find_useless, list_package, show_settings
    from mimctl.api.machines import find_machine, lock_words, look_at
    from mimctl.api.mending import find_steps, mend, preview
    from mimctl.api.models import download
    from mimctl.api.place import Watch, find_target
    from mimctl.api.porting import port
    from mimctl.api.publishing import audit_wheels, build_index, build_wheels, expand_matrix, verify_wheels, yank_wheels
    from mimctl.api.running import describe_data, infer, test, train
    from mimctl.api.runs import cancel, logs, resume, status
    from mimctl.api.scripts import is_package, list_scripts, run, run_verb
    from mimctl.api.searching import get_model_info, search
    from mimctl.api.sweeps import read_axes, sweep, sweep_report
    from mimctl.api.zoo import zoo_import, zoo_lint
    from mimctl.api.zoo_publishing import Published, zoo_publish
    from mimctl.api.zoo_verifying import Verified, zoo_verify
    from mimctl.pages import explain

_ROOMS = {
    "place": "Watch find_target",
    "keeping": "Share cache_clean cache_dir cache_prune cache_size",
    "authoring": "check_plugin new_plugin",
    "bundling": "Extras bundle install_bundled open_bundle prepare_bundled",
    "locking": "LOCK_FILE lock prepare_sync sync",
    "looking": "Listing doctor env find_unfinished find_useless list_package show_settings",
    "installing": "find_own_upgrade install prepare_install prepare_uninstall prepare_upgrade repair uninstall upgrade",
    "machines": "find_machine lock_words look_at",
    "mending": "find_steps mend preview",
    "running": "describe_data infer test train",
    "runs": "cancel logs resume status",
    "sweeps": "read_axes sweep sweep_report",
    "scripts": "is_package list_scripts run run_verb",
    "configs": "Linted lint_config show_config trace_config",
    "models": "download",
    "searching": "get_model_info search",
    "datasets": "DownloadedData ListedData download_dataset list_datasets",
    "porting": "port",
    "zoo": "zoo_import zoo_lint",
    "zoo_publishing": "Published zoo_publish",
    "zoo_verifying": "Verified zoo_verify",
    "publishing": "audit_wheels build_index build_wheels expand_matrix verify_wheels yank_wheels",
}
"""Which file of this package holds what."""

_PLACES = {name: f"mimctl.api.{room}" for room, names in _ROOMS.items() for name in names.split()}
_PLACES["explain"] = "mimctl.pages"

__all__ = [
    "LOCK_FILE",
    "DownloadedData",
    "Extras",
    "Linted",
    "ListedData",
    "Listing",
    "Published",
    "Share",
    "Verified",
    "Watch",
    "audit_wheels",
    "build_index",
    "build_wheels",
    "bundle",
    "cache_clean",
    "cache_dir",
    "cache_prune",
    "cache_size",
    "cancel",
    "check_plugin",
    "describe_data",
    "doctor",
    "download",
    "download_dataset",
    "env",
    "expand_matrix",
    "explain",
    "find_machine",
    "find_own_upgrade",
    "find_steps",
    "find_target",
    "find_unfinished",
    "find_useless",
    "get_model_info",
    "infer",
    "install",
    "install_bundled",
    "is_package",
    "lint_config",
    "list_datasets",
    "list_package",
    "list_scripts",
    "lock",
    "lock_words",
    "logs",
    "look_at",
    "mend",
    "new_plugin",
    "open_bundle",
    "port",
    "prepare_bundled",
    "prepare_install",
    "prepare_sync",
    "prepare_uninstall",
    "prepare_upgrade",
    "preview",
    "read_axes",
    "repair",
    "resume",
    "run",
    "run_verb",
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
    "verify_wheels",
    "yank_wheels",
    "zoo_import",
    "zoo_lint",
    "zoo_publish",
    "zoo_verify",
]


def __getattr__(name: str) -> object:
    """Load a verb on first use: a command pays for what it runs alone."""
    if name not in _PLACES:
        raise AttributeError(f"module 'mimctl.api' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
