"""The error boundary: run a command, turn whatever goes wrong into one message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from mimctl.cli.lazy import root
from mimctl.cli.output import Output
from mimctl.cli.table import COMMANDS, Entry
from mimctl.errors import ExitCode, MimctlError, UsageError, did_you_mean, nearest

COMPLETION_VARIABLE = "_MIMCTL_COMPLETE"


def main(arguments: Sequence[str]) -> int:
    """Run the command line on `arguments` and return the exit code; never raises."""
    output = output_of(arguments)
    command = command_in(arguments)
    try:
        return _run(list(arguments))
    except click.UsageError as err:
        return _fail(output, from_click(err, command), command)
    except MimctlError as err:
        return _fail(output, err, command)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\ninterrupted\n")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader has what it wants (`mimctl list | head -1`); python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as err:
        return _fail(output, from_os(err), command)
    except Exception as err:
        return _fail(output, _bug(err), command)


def _run(arguments: list[str]) -> int:
    if COMPLETION_VARIABLE in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(root(), {}, "mimctl", COMPLETION_VARIABLE, os.environ[COMPLETION_VARIABLE])
    code = root().main(arguments, prog_name="mimctl", standalone_mode=False)
    return code if isinstance(code, int) else 0


def output_of(arguments: Sequence[str]) -> Output:
    """Return how to report errors, read off the raw arguments: they may not even parse."""
    words = list(arguments)
    if "--" in words:
        words = words[: words.index("--")]
    color = "auto"
    for position, word in enumerate(words):
        value = word.partition("=")[2] or (words[position + 1] if position + 1 < len(words) else "")
        if word.partition("=")[0] == "--color" and value in ("always", "never"):
            color = value
    return Output(json="--json" in words, color=color, debug="--debug" in words)


def command_in(arguments: Sequence[str]) -> str | None:
    """Return the command that arguments name (`settings show`), as far as it is one of ours; pure."""
    words = [word for word in arguments if not word.startswith("-")]
    names: list[str] = []
    entries: Sequence[Entry] = COMMANDS
    for word in words:
        entry = next((each for each in entries if each.name == word), None)
        if entry is None:
            break
        names.append(word)
        entries = entry.children
    return " ".join(names) or None


def _fail(output: Output, error: MimctlError, command: str | None) -> int:
    if output.debug:
        import traceback

        sys.stderr.write(traceback.format_exc())
    output.error(command, error)
    return int(error.exit_code)


def from_click(error: click.UsageError, command: str | None = None) -> UsageError:
    """Say click's usage errors in our grammar, with the nearest option; `command` serves where click names none."""
    path = error.ctx.command_path if error.ctx else " ".join(("mimctl", *([command] if command else [])))
    hints = [f"all options: `{path} --help`"]
    if isinstance(error, click.NoSuchOption):
        options = [each for param in error.ctx.command.params for each in param.opts] if error.ctx else []
        near = nearest(error.option_name, [*options, "--help"], most=2)
        near = near or [option for option in options if _letters(option) == _letters(error.option_name)]
        if path == "mimctl" and error.option_name in _EVERYWHERE:
            hints.insert(0, f"options stand after the command: `mimctl list {error.option_name}`")
        else:
            hints = [*did_you_mean(near), *hints]
        return UsageError(f"`{path}` has no option `{error.option_name}`", code="unknown-option", hints=hints)
    message = error.format_message().rstrip(".")
    return UsageError(f"`{path}`: {message[:1].lower()}{message[1:]}", hints=hints)


_EVERYWHERE = ("--json", "-q", "--quiet", "-v", "--verbose", "--color", "--debug", "--python", "--offline")


def _letters(option: str) -> str:
    return option.replace("-", "").replace("_", "").lower()


def from_os(error: OSError) -> MimctlError:
    """Name the two failures of a disk that people can mend; any other keeps the system's words."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    named = (error.filename2 if full else None) or error.filename  # of a copy or a link the second is the new one
    place = f"`{named}`" if named else "a file"
    if full:
        return MimctlError(
            f"the disk or quota is full while writing {place}",
            code="disk-full",
            causes=[str(error)],
            hints=["free space, or move the cache: `mimctl settings set cache_dir DIR`"],
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MimctlError(
            f"no permission for {place}",
            code="no-permission",
            causes=[str(error)],
            hints=["choose a folder that you may write to"],
        )
    return MimctlError(f"the system refused {place}: {error.strerror or error}", code="system", causes=[str(error)])


def _bug(error: Exception) -> MimctlError:
    return MimctlError(
        f"mimctl has a bug: {type(error).__name__}: {error}",
        code="bug",
        hints=["see where: run the same line with `--debug`"],
        exit_code=ExitCode.BUG,
    )
