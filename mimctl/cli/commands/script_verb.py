"""Verbs that a package of mim's convention has as scripts: its own options go on to it as they were typed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from mimctl import api
from mimctl.cli.options import Context, VerbCommand, launch_options, plugin_argument, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.cli.runs import DRY_RUN, detached, launch_of, plan_lines

if TYPE_CHECKING:
    from mimctl.cli.output import Output
    from mimctl.launch.scripts.model import ScriptResult

_Command = TypeVar("_Command", bound=VerbCommand)
_TYPED = "mimctl.typed"


def remade(command: click.Command, kind: type[_Command]) -> _Command:
    """Return a command as another kind of command with the same options, handler and help."""
    return kind(
        command.name,
        params=command.params,
        callback=command.callback,
        help=command.help,
        context_settings=command.context_settings,
        examples=cast("VerbCommand", command).examples,
    )


class ScriptCommand(VerbCommand):
    """A command whose unknown options belong to a script: each word stays as it was typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse without spreading `--cfg-options`: the script takes its values after one flag."""
        return click.Command.parse_args(self, ctx, args)


class ToolboxCommand(VerbCommand):
    """A verb of our toolboxes; where its first word names a package of mim's convention, that package's script.

    What a toolbox of ours takes is checked here; what a script takes only the script knows, so its words are read anew
    with mim's options for launching, and all the others go on to it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse for a toolbox of ours; words that make no sense there may still be meant for a script."""
        typed = list(args)
        if ctx.resilient_parsing:  # a shell that completes a word asks no interpreter
            return super().parse_args(ctx, args)
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError:
            if not _names_package(self._scripts(), typed):
                raise
            ctx.meta[_TYPED] = typed
            return []
        if _means_package(ctx.params):
            ctx.meta[_TYPED] = typed
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, or the script."""
        if _TYPED not in ctx.meta:
            return super().invoke(ctx)
        scripts = self._scripts()
        with scripts.make_context(self.name, ctx.meta[_TYPED], parent=ctx.parent) as inner:
            return scripts.invoke(inner)

    def _scripts(self) -> click.Command:
        return make("test" if self.name == "test" else "train")


def make(name: Literal["train", "test"]) -> click.Command:
    """Return the command that starts `tools/<name>.py` of a package."""

    @verb(name, examples=[f"mimctl {name} mmdet CONFIG --work-dir out"], target=True)
    @plugin_argument
    @click.argument("config")
    @click.option("-C", "--checkpoint", metavar="PATH", help="What to measure.")
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF THE SCRIPT]...")
    @launch_options
    def command(
        context: Context, plugin: str, config: str, rest: tuple[str, ...], checkpoint: str | None = None, **values: Any
    ) -> Result:
        """Start a package's own script: CONFIG is a file or a name in the package; further options go on to it."""
        arguments = [config, *([checkpoint] if checkpoint else []), *rest]
        return start(context, plugin, name, arguments, **values)

    if name != "test":
        command.params = [each for each in command.params if each.name != "checkpoint"]
    script = remade(command, ScriptCommand)
    script.context_settings = {**script.context_settings, "ignore_unknown_options": True}
    return script


def start(context: Context, plugin: str, verb: Literal["train", "test"], words: Sequence[str], **values: Any) -> Result:
    """Start a package's own script for a verb and return how it went; `words` begin with the config."""
    output = context.output
    with output.transfer_view() as watch:
        outcome = api.run_verb(
            plugin,
            verb,
            words,
            launch_of(values),
            dry_run=values["dry_run"],
            stdout=error_stream() if output.json else None,
            watch=watch,
            settings=context.settings,
        )
    return shown(outcome, output)


def shown(outcome: ScriptResult, output: Output) -> Result:
    """Return what is said of a script that has ended, goes on by itself, or was only to be looked at."""
    plan, program = outcome.plan, outcome.program
    data: dict[str, object] = {
        "package": outcome.toolbox.name,
        "version": outcome.toolbox.version,
        "script": str(program.path or program.name),
        "config": str(outcome.config) if outcome.config else None,
        "argv": list(plan.argv),
        "environment": dict(plan.environment),
        "unset": list(plan.unset),
    }
    if outcome.record is not None:
        said = detached(outcome.record)
        data |= said.data
        return Result(data=data) if outcome.is_over else said._replace(data=data)
    data["files"] = {str(path): content for path, content in plan.files.items()}
    notes: list[Line] = [DRY_RUN]
    if outcome.refusal is not None:
        data["refusal"] = outcome.refusal.to_dict()
        notes += [Styled(f"it would be refused: {each}", "yellow") for each in outcome.refusal.causes]
    lines = plan_lines(plan, is_verbose=output.verbose)
    return Result(data=data, lines=lines, quiet=lines, notes=notes)


def _names_package(command: click.Command, typed: list[str]) -> bool:
    """Return whether words that are none for a toolbox of ours begin with a package and suit its script."""
    try:
        context = command.make_context(command.name, list(typed))
    except click.UsageError:
        return False
    if str(context.params.get("config")).startswith("-"):
        return False  # the config was forgotten
    return _means_package(context.params)


def _means_package(params: dict[str, Any]) -> bool:
    from mimctl import settings as settings_module

    flags = {"python": params.get("python"), "offline": params.get("offline") or None}
    settings = settings_module.load(flags, uses=())
    if any(each.name == "python" for each in settings.not_accepted):
        return False  # the verb asks whether that interpreter may be started at all
    return api.is_package(str(params["plugin"]), settings=settings)


def error_stream() -> IO[bytes]:
    """Return where a script's standard output goes while ours is one JSON document."""
    sys.stderr.flush()
    return sys.stderr.buffer
