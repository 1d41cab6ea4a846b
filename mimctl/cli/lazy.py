"""A command group that answers help and suggestions from the static table and imports a command only to run it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

from mimctl.cli.table import COMMANDS, OTHER_WORDS, PLUGIN_VERBS, TOPICS, Entry
from mimctl.errors import UsageError, did_you_mean, nearest

INTRODUCTION = "From a bare machine to a trained vision model."
EXAMPLES = (
    ("mimctl install det", "the detection toolbox, and the op wheel that fits this machine"),
    ("mimctl train det rtmdet_nano --data my_photos", "train on your own photographs"),
)


class LazyGroup(click.Group):
    """A group over table entries."""

    def __init__(self, name: str | None, entries: Sequence[Entry], *, help: str, path: str = "mimctl") -> None:
        super().__init__(name, help=help, invoke_without_command=True, callback=self._alone)
        self.entries = {entry.name: entry for entry in entries}
        self.path = path

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None for an unknown name."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return self._plugin_verb(cmd_name)
        if entry.children:
            return LazyGroup(entry.name, entry.children, help=entry.summary, path=f"{self.path} {entry.name}")
        module = importlib.import_module(entry.module)
        command = module.COMMANDS[entry.name]
        assert isinstance(command, click.Command)
        return command

    def _plugin_verb(self, name: str) -> click.Command | None:
        if self.path != "mimctl" or name not in PLUGIN_VERBS:
            return None
        from mimctl.cli.commands.plugin_verb import make

        return make(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown word is an error with the nearest names and runs nothing."""
        command = self.get_command(ctx, args[0])
        if command is not None:
            return args[0], command, args[1:]
        raise unknown_command(args[0], self.path, list(self.entries))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help from the table alone."""
        formatter.write_usage(self.path, "COMMAND [ARGS]...")
        formatter.write_paragraph()
        formatter.write_text(INTRODUCTION if self.path == "mimctl" else f"{self.help}.")
        if self.path == "mimctl":
            _format_topics(self.entries, formatter)
        else:
            with formatter.section("Commands"):
                formatter.write_dl([(entry.name, entry.summary) for entry in self.entries.values()])
        with formatter.section("Options"):
            formatter.write_dl(_GLOBAL_OPTIONS)

    def _alone(self) -> int:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            click.echo(context.get_help())
        return 0


_GLOBAL_OPTIONS = [
    ("-h, --help", "Show help, also after any command"),
    ("--version", "Show the version"),
]


def _format_topics(entries: dict[str, Entry], formatter: click.HelpFormatter) -> None:
    for topic in TOPICS:
        with formatter.section(topic):
            formatter.write_dl([(entry.name, entry.summary) for entry in entries.values() if entry.topic == topic])
    with formatter.section("Examples"):
        for line, meaning in EXAMPLES:
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n{'':>{formatter.current_indent + 4}}{meaning}\n")


def unknown_command(word: str, path: str, names: list[str]) -> UsageError:
    """Return the error for a word that is no command, with what was probably meant."""
    meant = [OTHER_WORDS[word]] if path == "mimctl" and word in OTHER_WORDS else nearest(word, names, most=1)
    meant = meant or [name for name in names if name.startswith(word)]
    hints = did_you_mean(f"{path} {each}" for each in meant)
    hints.append(f"all commands: `{path} --help`")
    return UsageError(f"`{path}` has no command `{word}`", code="unknown-command", hints=hints)


def root() -> LazyGroup:
    """Return the `mimctl` command."""
    group = LazyGroup("mimctl", COMMANDS, help=INTRODUCTION)
    group.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    group.params.append(
        click.Option(["--version", "-V"], is_flag=True, is_eager=True, expose_value=False, callback=_print_version)
    )
    return group


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from mimctl import __version__

        click.echo(f"mimctl {__version__}")
        ctx.exit(0)
