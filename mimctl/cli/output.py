"""The one place that prints: human text, one JSON document, or next to nothing; colour only where it is wanted."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from mimctl.cli.result import Code, Line, Result, Styled, tame, to_json
from mimctl.errors import MimctlError, render

if TYPE_CHECKING:
    from mimctl.cli.progress import RunView, TransferView

SCHEMA_VERSION = 1


class Output(NamedTuple):
    """How this invocation speaks."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: str = "auto"
    debug: bool = False

    def result(self, command: str, result: Result) -> None:
        """Print a result to stdout, its notes to stderr."""
        if self.json and result.document is not None:
            self._lines([result.document], sys.stdout)
            return
        if self.json:
            self._document({"schema_version": SCHEMA_VERSION, "command": command, **result.data})
            return
        for note in result.notes:
            self.note(note)
        self._lines(result.quiet if self.quiet else result.lines, sys.stdout)
        for note in result.closing:
            self.note(note)

    def error(self, command: str | None, error: MimctlError) -> None:
        """Print an error to stderr, and as the one JSON document on stdout where `--json` was asked for."""
        if self.json:
            self._document({"schema_version": SCHEMA_VERSION, "command": command, "error": error.to_dict()})
        self._lines(_error_lines(error), sys.stderr)

    def note(self, line: Line) -> None:
        """Tell a person something on stderr, unless `-q`."""
        if not self.quiet:
            self._lines([line], sys.stderr)

    def say_debug(self, text: str) -> None:
        """Print a line on stderr that only `-v` shows."""
        if self.verbose:
            self._lines([Styled(f"debug: {text}", "dim")], sys.stderr)

    def is_live(self) -> bool:
        """Whether progress may be drawn: stderr is a terminal and nobody asked for quiet."""
        return not self.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def width(self) -> int | None:
        """Return how many columns stdout's terminal has, None where it is none: nothing is cut there."""
        if not sys.stdout.isatty():
            return None
        import shutil

        return shutil.get_terminal_size().columns

    def can_ask(self) -> bool:
        """Whether somebody sits at a terminal and reads what is asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str, *, default: bool = True) -> bool:
        """Ask on the terminal, where an empty line is `default`; elsewhere the answer is yes: nobody could say no."""
        if not self.can_ask():
            return True
        sys.stderr.write(f"{question} {'[Y/n]' if default else '[y/N]'} ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in (("", "y", "yes") if default else ("y", "yes"))

    def run_view(self, title: str) -> RunView:
        """Return what draws the events of a run: a live bar on a terminal, plain lines elsewhere."""
        from mimctl.cli.progress import make_view

        return make_view(self, title)

    def transfer_view(self) -> TransferView:
        """Return what draws transfers and the steps of an installation."""
        from mimctl.cli.progress import TransferView

        return TransferView(self)

    def _document(self, data: Mapping[str, object]) -> None:
        sys.stdout.write(to_json(data) + "\n")
        sys.stdout.flush()

    def _lines(self, lines: Iterable[Line], stream: TextIO) -> None:
        colored = self.wants_color(stream)
        console = _console(stream) if colored else None
        for line in lines:
            text = tame(line if isinstance(line, str) else line.text)
            style = line.style if isinstance(line, Styled) else ""
            if console is not None and isinstance(line, Code):
                console.print(_highlighted(text, line.language), soft_wrap=True, end="")
            elif console is not None and style:
                console.print(text, style=style, soft_wrap=True)
            else:
                stream.write(_encodable(text, stream) + "\n")
        stream.flush()

    def wants_color(self, stream: TextIO) -> bool:
        """Decide on colour: `--color` > FORCE_COLOR > NO_COLOR > whether the stream is a terminal."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("FORCE_COLOR"):
            return True
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return stream.isatty()


def _error_lines(error: MimctlError) -> list[Line]:
    head, *rest = render(error).split("\n")
    styles = {"hint:": "cyan", "  caus": ""}
    return [Styled(head, "bold red"), *(Styled(line, styles.get(line[:5], "")) for line in rest)]


def _encodable(text: str, stream: TextIO) -> str:
    """Return text that a stream takes.

    A file's name may hold bytes that are no letters: they go into files and pipes as they are, for whoever opens it,
    and to no terminal, where they could be put together to what it obeys.
    """
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        if not stream.isatty() and hasattr(stream, "reconfigure"):
            with contextlib.suppress(UnicodeEncodeError):
                text.encode(encoding, "surrogateescape")
                stream.reconfigure(errors="surrogateescape")
                return text
        return text.encode(encoding, "replace").decode(encoding)


def _highlighted(text: str, language: str) -> Any:
    from rich.syntax import Syntax

    return Syntax(text, language, theme="ansi_dark", background_color="default").highlight(text)


def _console(stream: TextIO) -> Any:
    from rich.console import Console

    return Console(
        file=stream, force_terminal=True, color_system="standard", highlight=False, markup=False, emoji=False
    )
