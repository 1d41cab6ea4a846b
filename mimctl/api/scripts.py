"""What starts scripts that are no verb of ours: those of toolboxes, and of packages that follow mim's convention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Literal

from mimctl import settings as settings_module
from mimctl.api.place import workplace
from mimctl.errors import MimctlError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.launch.model import LaunchOptions, Listener
    from mimctl.launch.scripts.model import ScriptResult


def run(
    package: str,
    command: str,
    other_args: Sequence[str] = (),
    launch: LaunchOptions | None = None,
    *,
    dry_run: bool = False,
    stdout: IO[bytes] | None = None,
    listener: Listener | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> ScriptResult:
    """Run a script of a toolbox, or of an installed package that follows mim's convention, in the target interpreter.

    `command` is its name (`get_flops`, `analysis_tools:get_flops`); of a toolbox of ours also a console script or a
    module. `launch` says over how many processes, and where; without it one process is started as by hand. The script
    writes to this process's own streams (`stdout` takes the place of the standard output), a job of Slurm to
    `listener`. Raises UsageError[script-not-found], MimctlError[package-cannot-work] before anything starts,
    [script-failed] with the script's own exit code.
    """
    from mimctl.launch.model import LaunchOptions
    from mimctl.launch.scripts.choose import find_script
    from mimctl.launch.scripts.model import ScriptRequest
    from mimctl.launch.scripts.start import start
    from mimctl.launch.toolbox import say_which

    settings = settings or settings_module.load()
    launch = launch or LaunchOptions()
    place = workplace(settings, launch if _wants_gpus(launch) else None, watch)
    toolbox, program = find_script(package, command, place)
    if watch is not None and (told := say_which(package, toolbox, place)):
        watch.note(told)
    request = ScriptRequest(
        toolbox=toolbox, program=program, arguments=tuple(other_args), launch=launch, dry_run=dry_run
    )
    return start(request, place, builds=_builds(settings), stdout=stdout, listener=listener)


def run_verb(
    package: str,
    verb: Literal["train", "test"],
    arguments: Sequence[str],
    launch: LaunchOptions,
    *,
    dry_run: bool = False,
    stdout: IO[bytes] | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> ScriptResult:
    """Train or test with a package that follows mim's convention: its own script, in mim's line for the launcher.

    `arguments` begin with a config (a path, or a name in the package). Raises as `run` does,
    ConfigError[config-not-found | config-ambiguous], MimctlError[verb-not-offered] where it has no such script.
    """
    from mimctl.launch.scripts.choose import verb_request
    from mimctl.launch.scripts.start import start
    from mimctl.launch.toolbox import find_package, say_which

    settings = settings or settings_module.load()
    place = workplace(settings, launch, watch)
    found = find_package(package, place)
    if watch is not None and (told := say_which(package, found, place)):
        watch.note(told)
    request = replace(verb_request(found, verb, tuple(arguments), launch), dry_run=dry_run)
    return start(request, place, builds=_builds(settings), stdout=stdout)


def list_scripts(package: str, *, settings: Settings | None = None) -> list[str]:
    """Return the names of what `run` can start of a toolbox or an installed package, scripts first."""
    from mimctl.launch.scripts.choose import list_scripts as names_of

    return names_of(package, workplace(settings or settings_module.load()))


def is_package(word: str, *, settings: Settings | None = None) -> bool:
    """Return whether `word` means a package of mim's convention in the target, and no toolbox of ours.

    With a version it always does, installed or not.
    """
    from mimctl.launch.toolbox import find_toolbox
    from mimctl.plugin.mim import MimPackage

    if "==" in word:
        return True
    try:
        return isinstance(find_toolbox(word, workplace(settings or settings_module.load())), MimPackage)
    except MimctlError:
        return False


def _wants_gpus(launch: LaunchOptions) -> bool:
    """Return whether it matters how many GPUs there are; counting them costs a process."""
    return bool(launch.gpus) or launch.launcher == "pytorch"


def _builds(settings: Settings) -> Callable[[str, str], bool]:
    """Return who says whether a toolbox of ours builds the model of a config, as far as an index is at hand."""

    def builds(toolbox: str, config: str) -> bool:
        from mimctl.api.place import index_client
        from mimctl.zoo.reading import load_zoo

        try:
            models = load_zoo(index_client(settings), toolbox).models
        except MimctlError:
            return False
        return any(each.is_buildable and config in each.short_names for each in models)

    return builds
