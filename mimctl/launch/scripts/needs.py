"""What a package's script imports and its environment lacks: refused before it starts, with the way out."""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.launch.place import Workplace
from mimctl.launch.toolbox import lacks_of, surroundings
from mimctl.plugin.mim import MimPackage, normalise
from mimctl.plugin.mim_needs import Lack, last_build
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES

OwnModel = Callable[[str, str], bool]
"""Whether the toolbox (first) builds the model of the config (second, a bare name)."""


def why_refused(
    package: MimPackage, verb: str, script: Path, config: Path | None, place: Workplace, builds: OwnModel
) -> MimctlError | None:
    """Return the error [package-cannot-work] where the environment lacks what the script's imports need."""
    imported = {normalise(each) for each in imports_of(script)}
    there = surroundings(place.paths)
    lacks = lacks_of(package, there)
    if normalise(package.module) not in imported:
        # A script of its own feet (a converter of annotations) needs only what it imports itself.
        lacks = [each for each in lacks if each.name in imported]
    if not lacks:
        return None
    return MimctlError(
        f"`{package.name}` {package.version} cannot work in this environment",
        code="package-cannot-work",
        causes=[each.reason for each in lacks],
        hints=_hints_for(lacks, package, verb, config, builds, torch=there.torch),
        details={"lacks": [each.requirement for each in lacks]},
    )


def imports_of(script: Path) -> set[str]:
    """Return the modules (their first names) that a script imports at its start, without the standard library."""
    try:
        body = ast.parse(script.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for each in body:
        if isinstance(each, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in each.names}
        elif isinstance(each, ast.ImportFrom) and each.level == 0 and each.module:
            names.add(each.module.partition(".")[0])
    return names - set(sys.stdlib_module_names)


def _hints_for(
    lacks: Sequence[Lack],
    package: MimPackage,
    verb: str,
    config: Path | None,
    builds: OwnModel,
    *,
    torch: str | None,
) -> list[str]:
    """Return what to type: our toolbox where it serves the model, else the way to an environment that works."""
    hints = []
    ours = OPENMMLAB_NAMES.get(package.name) or OPENMMLAB_NAMES.get(package.module)
    if ours is not None and config is not None and builds(ours, config.stem):
        hints.append(f"our own toolbox has this model: `mimctl install {ours}`, then")
        hints.append(f"  `mimctl {verb} {ours} {config.stem}`")
    compiled = [(lack, build) for lack in lacks if (build := last_build(lack)) is not None]
    for lack, build in compiled:
        hints.append(
            f"{'or ' if hints else ''}an environment of its own: Python {build.python}, "
            f"`pip install 'torch=={build.torch}.*'`, `pip install {lack.name}=={build.version} -f {build.page(torch)}`"
        )
    plain = [lack.requirement for lack in lacks if last_build(lack) is None]
    if plain:
        words = " ".join(shlex.quote(each) for each in plain)
        hints.append(f"{'there, ' if compiled else ''}install what is missing: `mimctl install {words}`")
    return hints
