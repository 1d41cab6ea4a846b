"""The torch of each environment of a lock: which build it gets, and a target as it will be with it (pure)."""

from __future__ import annotations

import re
from dataclasses import replace

from mimctl.environment.installed import Fact, Torch
from mimctl.environment.model import Environment
from mimctl.errors import UsageError
from mimctl.index.model import IndexFile
from mimctl.installer.locking.cells import Cell
from mimctl.selection.torch_build import PLAIN_TAG, TorchBuild, choose_torch, is_plain


def torch_for(
    cell: Cell, wish: str, versions: tuple[str | None, str | None], locked: IndexFile | None
) -> TorchBuild | None:
    """Return the build of torch that an environment's wheels are chosen for; a version that is locked stays.

    None where nobody says which version. Raises UsageError for a build that the environment's accelerator does not run.
    """
    verified, default = versions
    version = locked.version.partition("+")[0] if locked is not None else default or verified
    words = wish if wish not in ("auto", "none") else cell.torch_tag
    if words[:1].isdigit() and "+" not in words and cell.torch_tag != "auto":
        words = f"{words}+{cell.torch_tag}"
    if version is None and not words[:1].isdigit():
        return None
    build = choose_torch(cell.environment, words, verified=version or "")
    wanted = cell.accelerator[2:4] if cell.accelerator.startswith("cu") else None
    if build is not None and wanted is not None and (build.cuda or "").partition(".")[0] != wanted:
        raise UsageError(
            f"torch {build.full_version} is no build for `{cell.words}`",
            causes=[build.reason],
            hints=["name the build in the environment: `linux-x86_64-cu126`"],
        )
    return build


def with_torch(env: Environment, version: str, accelerator: str) -> Environment:
    """Return `env` with torch `version`; without a label it is what the public index has for Linux, if that fits.

    `accelerator` is the word of the lock's environment (`cu13`), empty where a lock has none.
    """
    public, _, label = version.partition("+")
    if not label and accelerator.startswith("cu") and is_plain(public, PLAIN_TAG, env):
        label = PLAIN_TAG
    tag = label if re.fullmatch(r"cu\d{3}|rocm.*", label) else None
    build = TorchBuild(version=public, tag=tag, reason="locked")
    torch = Torch(version=version, cuda=build.cuda, hip=build.hip, path=None)
    return replace(env, torch=Fact(value=torch, source="the lock file"))
