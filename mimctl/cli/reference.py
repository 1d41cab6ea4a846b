"""Write the reference page of the command line from the commands themselves: `python -m mimctl.cli.reference`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from mimctl.cli.lazy import LazyGroup, root
from mimctl.cli.options import COMMON_NAMES, TARGET_NAMES, VerbCommand
from mimctl.cli.table import TOPICS

_HEAD = """\
# The command line

Written by `python -m mimctl.cli.reference`; do not edit. Every command takes `-h/--help`.

Common to all: `--json` one document on stdout ([json.md](json.md)) · `-q/--quiet` errors and bare data only ·
`-v/--verbose` what is decided, and from which source · `--color auto|always|never` · `--debug` an error's traceback.
Those that work on an environment also take `--python PATH` and `--offline`. Data goes to stdout, all else to stderr.
Exit codes: [exit-codes.md](exit-codes.md).
"""


def reference() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD]
    group = root()
    context = click.Context(group, info_name="mimctl")
    for topic in TOPICS:
        parts.append(f"## {topic}\n")
        for entry in group.entries.values():
            if entry.topic == topic:
                parts += [_section(path, command) for path, command in _commands(group, entry.name, context)]
    return "\n".join(parts)


def _commands(group: LazyGroup, name: str, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    command = group.get_command(context, name)
    if isinstance(command, LazyGroup):
        for child in command.entries:
            for path, inner in _commands(command, child, context):
                yield f"{name} {path}", inner
    elif command is not None:
        yield name, command


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"mimctl {path}")
    words = " ".join(word for word in command.collect_usage_pieces(context) if word != "[OPTIONS]")
    lines = [f"### mimctl {path} {words}".rstrip(), "", _escape(command.help or ""), ""]
    for param in (each for each in command.params if isinstance(each, click.Option)):
        record = param.get_help_record(context)
        if record is not None and param.name not in COMMON_NAMES + TARGET_NAMES:
            name, text = record
            lines.append(f"- `{name}`{f': {_escape(text)}' if text else ''}")
    if isinstance(command, VerbCommand):
        lines += ["", "```", *command.examples, "```"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;").replace("[PATH]", "`[PATH]`")


if __name__ == "__main__":
    print(reference(), end="")
