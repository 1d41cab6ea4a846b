"""What of a toolbox or a package can be started, and which of it a word means: scripts, modules, console scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mimctl.environment.distributions import scan
from mimctl.errors import MimctlError, UsageError, did_you_mean, nearest
from mimctl.launch.toolbox import Toolbox
from mimctl.plugin.discover import Plugin
from mimctl.plugin.entry_points import read_console_scripts
from mimctl.plugin.mim import FOLDER, MimPackage

_MAIN = re.compile(r"^if __name__ == ['\"]__main__['\"]:", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Something that can be started: `target` is a script's path, a module's name, or `module:function`."""

    kind: Literal["file", "module", "console"]
    name: str
    """What it is called by: `browse`, `analysis:flops`, `mimctl_det.browse`."""
    target: str

    @property
    def path(self) -> Path | None:
        """The script's file, None where it is no file that was named."""
        return Path(self.target) if self.kind == "file" else None

    @property
    def word(self) -> str:
        """A short name for folders and jobs."""
        return Path(self.target).stem if self.kind == "file" else re.sub(r"[^\w.-]", "_", self.name)


def list_programs(toolbox: Toolbox, paths: Sequence[Path]) -> list[str]:
    """Return the names of all that can be started, scripts first: `train`, `analysis_tools:get_flops`.

    `paths` is the environment's import path. Of modules those are listed that do something when they are started.
    """
    names = {
        ":".join(path.relative_to(folder).with_suffix("").parts)
        for folder in script_folders(toolbox)
        for path in _scripts(folder)
    }
    found = sorted(names, key=lambda name: (name.count(":"), name))
    if isinstance(toolbox, Plugin):
        found += [name for name in sorted(_consoles(toolbox, paths)) if name not in names]
        found += sorted(_modules(toolbox))
    return found


def find_program(toolbox: Toolbox, command: str, paths: Sequence[Path]) -> Program:
    """Return what `command` means: a script (`NAME`, `FOLDER:NAME`, without `.py`), of a toolbox of ours also a console
    script of its distribution, or a module (`mimctl_det.NAME`, or `NAME` in its package).

    Of scripts the first folder (`tools` before `demo`) that has one decides; there, the one nearest to its root. Raises
    UsageError[script-not-found] with the nearest names, [script-ambiguous] where several are equally near.
    """
    found = _script(toolbox, command)
    if found is None and isinstance(toolbox, Plugin):
        target = _consoles(toolbox, paths).get(command)
        if target is not None:
            return Program(kind="console", name=command, target=target)
        module = _module(toolbox, command)
        if module is not None:
            return Program(kind="module", name=module, target=module)
    if found is None:
        raise _not_found(toolbox, command, paths)
    return Program(kind="file", name=command, target=str(found))


def script_folders(toolbox: Toolbox) -> list[Path]:
    """Return where scripts are looked for, the first first: `tools`, then `demo`, in its package and beside it.

    Beside a package that is installed lie other distributions; there only its own folder counts.
    """
    if isinstance(toolbox, Plugin):
        outside = toolbox.package_dir.parents[toolbox.package.count(".")]
        roots = [toolbox.package_dir, *([outside] if toolbox.is_editable else [])]
    else:
        roots = [toolbox.root, *([toolbox.root.parent] if toolbox.root.name == FOLDER else [])]
    folders = [root / name for name in ("tools", "demo") for root in roots]
    return [each for each in dict.fromkeys(folders) if each.is_dir()]


def described(toolbox: Toolbox) -> str:
    """Return what kind of thing it is, with its name, for a message."""
    return f"package `{toolbox.name}`" if isinstance(toolbox, MimPackage) else f"toolbox `{toolbox.name}`"


def no_such_verb(package: MimPackage, verb: str) -> MimctlError:
    """Return the error for a package that has no script of a verb's name."""
    commands = [each for each in list_programs(package, ()) if ":" not in each]
    return MimctlError(
        f"package `{package.name}` does not offer `{verb}`",
        code="verb-not-offered",
        causes=[f"it has no `tools/{verb}.py`; its scripts: {', '.join(commands) or 'none'}"],
        hints=[f"all of them: `mimctl run {package.name}`"],
    )


def _script(toolbox: Toolbox, command: str) -> Path | None:
    wanted = tuple(command.split(":"))
    for folder in script_folders(toolbox):
        fits = [
            path
            for path in _scripts(folder)
            if path.relative_to(folder).with_suffix("").parts[-len(wanted) :] == wanted
        ]
        depth = min((len(path.parts) for path in fits), default=0)
        nearest_to_root = [path for path in fits if len(path.parts) == depth]
        if len(nearest_to_root) == 1:
            return nearest_to_root[0]
        if nearest_to_root:
            names = [":".join(path.relative_to(folder).with_suffix("").parts) for path in nearest_to_root]
            raise UsageError(
                f"`{command}` fits {len(names)} scripts of `{toolbox.name}`",
                code="script-ambiguous",
                causes=names,
                hints=[f"name one of them: `mimctl run {toolbox.name} {names[0]}`"],
            )
    return None


def _scripts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py" and path.is_file():
            yield path


def _consoles(plugin: Plugin, paths: Sequence[Path]) -> dict[str, str]:
    """Return the console scripts of a toolbox's distribution, name → `module:function`."""
    found = scan(paths).get(plugin.distribution)
    return dict(read_console_scripts(found.path / "entry_points.txt")) if found is not None else {}


def _module(plugin: Plugin, command: str) -> str | None:
    """Return the module that a dotted name means, as it stands or below the toolbox's package."""
    root = plugin.package_dir.parents[plugin.package.count(".")]
    for name in (command, f"{plugin.package}.{command}"):
        parts = name.split(".")
        if not name.startswith(f"{plugin.package}.") or not all(each.isidentifier() for each in parts):
            continue
        place = root.joinpath(*parts)
        if place.with_suffix(".py").is_file() or (place / "__main__.py").is_file():
            return name
    return None


def _modules(plugin: Plugin) -> Iterator[str]:
    """Yield the modules of a toolbox that do something when they are started, without its scripts and configs."""
    elsewhere = [*script_folders(plugin), plugin.configs_dir]
    for path in sorted(plugin.package_dir.rglob("*.py")):
        parts = path.relative_to(plugin.package_dir).with_suffix("").parts
        if any(path.is_relative_to(each) for each in elsewhere) or not all(each.isidentifier() for each in parts):
            continue
        if parts[-1] == "__main__":
            yield ".".join((plugin.package, *parts[:-1]))
        elif _MAIN.search(path.read_text(encoding="utf-8", errors="replace")):
            yield ".".join((plugin.package, *parts))


def _not_found(toolbox: Toolbox, command: str, paths: Sequence[Path]) -> UsageError:
    names = list_programs(toolbox, paths)
    hints = did_you_mean(nearest(re.split(r"[:.]", command)[-1], {re.split(r"[:.]", each)[-1] for each in names}))
    if isinstance(toolbox, Plugin) and command in toolbox.manifest.verbs:
        hints = [f"it is a verb: `mimctl {command} {toolbox.name} ...`"]
    verbs = ", ".join(f"`{each}`" for each in sorted(toolbox.manifest.verbs)) if isinstance(toolbox, Plugin) else ""
    return UsageError(
        f"{described(toolbox)} has no script `{command}`",
        code="script-not-found",
        causes=[] if names else ["it has none at all" + (f"; its verbs are {verbs}" if verbs else "")],
        hints=hints or ([f"all of them: `mimctl run {toolbox.name}`"] if names else []),
    )
