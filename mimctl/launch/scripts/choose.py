"""Which toolbox or package, and which of its scripts, a person means."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mimctl.errors import UsageError
from mimctl.launch.model import LaunchOptions
from mimctl.launch.place import Workplace
from mimctl.launch.scripts.model import ScriptRequest
from mimctl.launch.scripts.programs import Program, find_program, list_programs, no_such_verb
from mimctl.launch.toolbox import Toolbox, find_installed, find_package, find_working_plugin
from mimctl.plugin.configs import SUFFIXES, find_config
from mimctl.plugin.mim import MimPackage


def find_script(word: str, command: str, place: Workplace) -> tuple[Toolbox, Program]:
    """Return what `command` means in what `word` names: our toolbox, else the package of that name that has it.

    Raises what `find_program` does, MimctlError[plugin-not-installed | broken-plugin].
    """
    plugin = None if "==" in word else find_working_plugin(word, place)
    package = find_installed(word, place)
    if plugin is None:
        package = package or find_package(word, place)
        return package, find_program(package, command, place.paths)
    try:
        return plugin, find_program(plugin, command, place.paths)
    except UsageError as err:
        if package is None or err.code != "script-not-found":
            raise
        try:
            return package, find_program(package, command, place.paths)
        except UsageError:
            raise err from None


def list_scripts(word: str, place: Workplace) -> list[str]:
    """Return the names of all that `find_script` finds."""
    plugin = None if "==" in word else find_working_plugin(word, place)
    package = find_installed(word, place, is_required=plugin is None)
    found = [name for each in (plugin, package) if each is not None for name in list_programs(each, place.paths)]
    return list(dict.fromkeys(found))


def verb_request(
    package: MimPackage, verb: Literal["train", "test"], arguments: tuple[str, ...], launch: LaunchOptions
) -> ScriptRequest:
    """Return what `train` or `test` of a package is; `arguments` begin with the config.

    Raises MimctlError[verb-not-offered], ConfigError[config-not-found | config-ambiguous].
    """
    script = package.root / "tools" / f"{verb}.py"
    if not script.is_file():
        raise no_such_verb(package, verb)
    config = find_package_config(arguments[0], package)
    return ScriptRequest(
        toolbox=package,
        program=Program(kind="file", name=script.name, target=str(script)),
        verb=verb,
        arguments=(str(config), *arguments[1:]),
        config=config,
        launch=launch,
    )


def find_package_config(text: str, package: MimPackage) -> Path:
    """Return the config that a person means: a path that exists, or a bare name (with or without `.py`) among the
    package's configs. Raises ConfigError[config-not-found | config-ambiguous]."""
    path = Path(text)
    if "/" not in text and path.suffix in SUFFIXES and not path.is_file():
        text = path.stem
    return find_config(text, package)
