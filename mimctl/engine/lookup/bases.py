"""Find configs that a `_base_` names inside an installed toolbox (`det::rtmdet/rtmdet_s.py`)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from mimctl.config.files.packages import find_in_packages
from mimctl.engine.lookup.toolboxes import canonical_scope, package_of_scope


def find_base(reference: str) -> Path:
    """Return the file of `toolbox::folder/name.py` among the toolbox's configs; a bare name is searched for.

    Where no toolbox of ours has it, packages that carry their configs as OpenMMLab's do are looked into.
    """
    name, _, inner = reference.partition("::")
    package = name if name.startswith("mimctl_") else package_of_scope(canonical_scope(name))
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        configs = Path(folder) / "configs"
        if (configs / inner).is_file():
            return configs / inner
        found = sorted(configs.rglob(Path(inner).name))
        if len(found) == 1:
            return found[0]
    return find_in_packages(reference, map(Path, sys.path))
