"""Ask on a terminal whether a project's file may set what it sets; refuse where nobody can answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mimctl.cli.output import Output
from mimctl.consent import Request, accept, refusal


def ask(requests: Sequence[Request], output: Output, home: Path, *, may_ask: bool) -> None:
    """Return once every value is accepted; raise ConfigError[untrusted-settings] where one is not.

    Without a terminal, and with `--yes`, which answers what mimctl itself proposes, nobody is asked.
    """
    from mimctl.cli.commands.settings import shown

    if not may_ask or not output.can_ask():
        raise refusal(requests)
    for each in requests:
        output.note(f"{each.origin} sets `{each.name}`: {shown(each.value)}")
        if not output.confirm("use it, here and from now on?", default=False):
            raise refusal([each])
        accept([each], home)
