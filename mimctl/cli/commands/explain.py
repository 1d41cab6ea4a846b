"""`mimctl explain`: the page on an error code."""

from __future__ import annotations

import click

from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result, table
from mimctl.pages import error_pages
from mimctl.pages import explain as page_on


@verb("explain", examples=["mimctl explain no-compatible-wheel", "mimctl explain"], reads_files=False, uses=())
@click.argument("code", required=False)
def explain(context: Context, code: str | None) -> Result:
    """Print what an error code means, why it happens and what to type; all codes without one."""
    if code is not None:
        text = page_on(code)
        return Result(data={"code": code, "page": text}, lines=text.rstrip("\n").split("\n"), quiet=[text.rstrip("\n")])
    first = {name: _first_line(path.read_text(encoding="utf-8")) for name, path in error_pages().items()}
    return Result(data={"codes": first}, lines=table(list(first.items())), quiet=list(first))


def _first_line(page: str) -> str:
    return next((line for line in page.splitlines() if line.strip() and not line.startswith("#")), "")


COMMANDS = {"explain": explain}
