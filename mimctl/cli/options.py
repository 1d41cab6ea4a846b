"""What every command shares: common options, the list-taking `--cfg-options`, how a handler becomes a command."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from mimctl.cli.output import Output
from mimctl.cli.result import Result, Styled

if TYPE_CHECKING:
    from mimctl.settings import Settings

Handler = Callable[..., Result]
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_ASSIGNMENT = re.compile(r"[A-Za-z_][\w.\-]*\+?=", re.ASCII)
_SETTING_FLAGS = ("python", "offline", "index", "installer")


class Context(NamedTuple):
    """What a handler gets besides its own options: how to speak, and the settings."""

    output: Output
    settings: Settings


class VerbCommand(click.Command):
    """A command with an Examples section whose `--cfg-options` takes several values after one flag."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse after repeating `--cfg-options` before each of its values."""
        return super().parse_args(ctx, spread_cfg_options(args))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the Examples section."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def spread_cfg_options(args: Sequence[str]) -> list[str]:
    """Turn `--cfg-options a=1 b=2` into `--cfg-options a=1 --cfg-options b=2`, up to `--` or what is no `key=value`."""
    spread: list[str] = []
    state = "out"
    for position, word in enumerate(args):
        if word == "--":
            return [*spread, *args[position:]]
        if word == "--cfg-options" or word.startswith("--cfg-options="):
            state = "first" if word == "--cfg-options" else "more"
        elif state == "first":
            state = "more"
        elif state == "more" and _ASSIGNMENT.match(word):
            spread.append("--cfg-options")
        else:
            state = "out"
        spread.append(word)
    return spread


def verb(
    name: str,
    *,
    examples: Sequence[str],
    target: bool = False,
    reads_files: bool = True,
    tells_unfinished: bool = True,
    uses: Sequence[str] | None = None,
) -> Callable[[Handler], click.Command]:
    """Make a handler `(context, **options) -> Result` a command with the common options.

    `target` adds `--python` and `--offline`, and a note where an installation into it was killed, unless the command
    tells that itself, or does not mind (`tells_unfinished`); without `reads_files` a broken settings file is no
    hindrance. `uses` names the settings that the command uses (None: all), for those of a project's file have to be
    accepted first. The command's return value is the exit code.
    """

    def decorate(handler: Handler) -> click.Command:
        @functools.wraps(handler)
        def callback(**values: Any) -> int:
            context = _make_context(values, reads_files=reads_files, uses=uses)
            if target and tells_unfinished:
                _tell_unfinished(context)
            result = handler(context, **values)
            context.output.result(command_name(click.get_current_context()), result)
            return result.exit_code

        make = click.command(
            name, cls=VerbCommand, examples=examples, context_settings={"help_option_names": ["-h", "--help"]}
        )
        command = make(callback)
        command.params.extend(_options([*(_TARGET if target else ()), *_COMMON]))  # after the command's own
        return command

    return decorate


def _options(decorators: Sequence[Callable[[Any], Any]]) -> list[click.Parameter]:
    def holder() -> None: ...

    for option in reversed(decorators):
        holder = option(holder)
    return list(reversed(holder.__click_params__))  # type: ignore[attr-defined]


def command_name(context: click.Context) -> str:
    """Return a command as typed, without `mimctl`: `list`, `settings show`."""
    return context.command_path.partition(" ")[2]


def _make_context(values: dict[str, Any], *, reads_files: bool, uses: Sequence[str] | None) -> Context:
    from mimctl import settings as settings_module

    flags = {name: values.pop(name, None) for name in _SETTING_FLAGS}
    flags["offline"] = flags["offline"] or None
    color = values.pop("color")
    settings = settings_module.load({**flags, "color": color}, reads_files=reads_files, uses=())
    output = Output(
        json=values.pop("as_json"),
        quiet=values.pop("quiet"),
        verbose=values.pop("verbose"),
        color=settings.color,
        debug=values.pop("debug"),
    )
    for key, origin in settings.origins.items():
        output.say_debug(f"setting {key} from {origin}")
    asked = [each for each in settings.not_accepted if uses is None or each.name in uses]
    if asked:
        from mimctl.cli.consent import ask

        ask(asked, output, settings.home, may_ask=not values.get("yes") and not output.json)
    return Context(output=output, settings=settings)


def _tell_unfinished(context: Context) -> None:
    """Say in one line that an installation into the target was killed; what else is wrong comes up by itself."""
    from mimctl import api
    from mimctl.errors import MimctlError

    try:
        left = api.find_unfinished(settings=context.settings)
    except (MimctlError, OSError):
        return
    if left is not None:
        note = "an installation was killed half-way; `mimctl doctor --fix` brings the environment back"
        context.output.note(Styled(f"note: {note}", "yellow"))


_COMMON: tuple[Callable[[Any], Any], ...] = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    click.option("-q", "--quiet", is_flag=True, help="Print errors and bare data only."),
    click.option("-v", "--verbose", is_flag=True, help="Print what is decided, and from which source."),
    click.option("--color", type=click.Choice(["auto", "always", "never"]), help="Colour the output."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)

_TARGET: tuple[Callable[[Any], Any], ...] = (
    click.option("--python", metavar="PATH", help="The interpreter to work on; found by itself where not given."),
    click.option("--offline", is_flag=True, help="Use caches only, never the network."),
)


COMMON_NAMES = ("as_json", "quiet", "verbose", "color", "debug")
TARGET_NAMES = ("python", "offline")


def index_option(command: _Decorated) -> _Decorated:
    """Add `--index`, repeatable; `-i/--index-url` is a package index, as everywhere."""
    return click.option("--index", multiple=True, metavar="ADDRESS", help="A mimctl index; repeatable.")(command)


def config_options(command: _Decorated) -> _Decorated:
    """Add `--cfg-options` and `--trust-config`."""
    for option in (
        click.option("--trust-config", is_flag=True, help="Let a downloaded config import modules."),
        click.option(
            "--cfg-options",
            "cfg_options",
            multiple=True,
            metavar="KEY=VALUE...",
            help="Override values of the config; several after one flag, or the flag again.",
        ),
    ):
        command = option(command)
    return command


def launch_options(command: _Decorated) -> _Decorated:
    """Add how the processes are started: mim's words and ours."""
    for option in reversed(_LAUNCH):
        command = option(command)
    return command


_LAUNCH: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "-l", "--launcher", type=click.Choice(["none", "pytorch", "slurm"]), help="How processes are started."
    ),
    click.option(
        "-G", "--gpus", type=click.IntRange(min=0), metavar="N", help="GPUs in all; 0 is the CPU.  [default: 1 if seen]"
    ),
    click.option("--procs", type=click.IntRange(min=1), metavar="N", help="Processes on the CPU.  [default: 1]"),
    click.option("-g", "--gpus-per-node", type=click.IntRange(min=0), metavar="N", help="GPUs of one node."),
    click.option(
        "-N", "--nodes", "--nnodes", "nodes", type=click.IntRange(min=1), metavar="N", help="Nodes to spread over."
    ),
    click.option(
        "--node-rank", type=click.IntRange(min=0), metavar="N", help="Which of the nodes this one is, from 0 (pytorch)."
    ),
    click.option(
        "--rdzv-endpoint", metavar="HOST:PORT", help="Where the nodes meet, the same on each of them (pytorch)."
    ),
    click.option(
        "--max-restarts",
        type=click.IntRange(min=0),
        metavar="N",
        default=0,
        show_default=True,
        help="Start the ranks so often again after a failure, a training from its newest checkpoint.",
    ),
    click.option("--elastic", is_flag=True, help="One agent a node starts its ranks, and restarts them (slurm)."),
    click.option(
        "-c",
        "--cpus-per-task",
        type=click.IntRange(min=1),
        metavar="N",
        help="CPUs of one process (slurm).  [default: 2]",
    ),
    click.option("-p", "--partition", metavar="NAME", help="Partition of the cluster (slurm)."),
    click.option("--time", metavar="TIME", help="How long the job may take: 90, 12:00:00, 2-00 (slurm)."),
    click.option("--account", metavar="NAME", help="Account that the job is charged to (slurm)."),
    click.option("--qos", metavar="NAME", help="Quality of service (slurm)."),
    click.option(
        "--lead-time",
        type=click.IntRange(min=1),
        metavar="SECONDS",
        default=60,
        show_default=True,
        help="How long before its time is up a training saves and stops, to go on in another job (slurm).",
    ),
    click.option("--srun-args", metavar="ARGS", help="More arguments for srun, quoted as one (slurm)."),
    click.option("--sbatch-args", metavar="ARGS", help="More arguments for sbatch, quoted as one (slurm)."),
    click.option(
        "--setup",
        multiple=True,
        metavar="LINE",
        help="A line of shell before the ranks start: 'module load cuda' (slurm).",
    ),
    click.option(
        "--container", metavar="WORDS", help="What each rank is started through: 'apptainer exec --nv x.sif' (slurm)."
    ),
    click.option("--job-name", metavar="NAME", help="The job's name in the queue (slurm)."),
    click.option("--foreground", is_flag=True, help="Run it by srun and wait, submit nothing (slurm)."),
    click.option("--name", metavar="NAME", help="What the run is called in `mimctl status`."),
    click.option("-d", "--detach", is_flag=True, help="Return at once; `mimctl logs -f` follows the run."),
    click.option(
        "--port", type=click.IntRange(0, 65535), metavar="N", help="Rendezvous port; a free one is found by itself."
    ),
    click.option("--dry-run", is_flag=True, help="Print what would be started, start nothing."),
    click.option("-y", "--yes", is_flag=True, help="Ask nothing."),
)

PATH = click.Path(path_type=Path)


def plugin_argument(command: _Decorated) -> _Decorated:
    """Add the argument PLUGIN, completed with what is installed beside mimctl."""
    return click.argument("plugin", shell_complete=_complete_plugin)(command)


def optional_plugin_argument(command: _Decorated) -> _Decorated:
    """Add the argument PLUGIN where something can be done without one."""
    return click.argument("plugin", required=False, shell_complete=_complete_plugin)(command)


def _complete_plugin(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from mimctl.cli.completing import complete_plugin  # most commands complete nothing: start-up counts modules

    return complete_plugin(context, param, incomplete)
