"""`mimctl sync`: bring the target environment to a lock file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.install_options import find_links_option
from mimctl.cli.options import PATH, Context, index_option, verb
from mimctl.cli.plans import carry_out
from mimctl.cli.result import Result
from mimctl.errors import UsageError

if TYPE_CHECKING:
    from mimctl.installer.model import InstallResult


@verb(
    "sync",
    examples=[
        "mimctl sync",
        "mimctl sync --locked --exact",
        "mimctl sync --frozen deploy/pylock.toml --python .venv/bin/python",
        "mimctl sync --for cpu --dry-run",
    ],
    target=True,
    tells_unfinished=False,
)
@click.argument("file", type=PATH, required=False, metavar="[FILE]")
@click.option("--locked", is_flag=True, help="Fail where locking anew would change the lock.")
@click.option("--frozen", is_flag=True, help="Take the lock as it is, without a look at what it was made for.")
@click.option("--exact", is_flag=True, help="Remove what is not locked; never torch, pip or mimctl.")
@click.option("--for", "environment", metavar="WORDS", help="Which of the lock's environments this is.")
@index_option
@find_links_option
@click.option("--installer", type=click.Choice(["auto", "pip", "uv"]), help="What makes the changes.")
@click.option("--dry-run", is_flag=True, help="Print the changes, make none.")
@click.option("--explain", is_flag=True, help="Print the decision on every candidate.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def sync(
    context: Context,
    file: Path | None,
    locked: bool,
    frozen: bool,
    exact: bool,
    environment: str | None,
    find_links: tuple[str, ...],
    dry_run: bool,
    explain: bool,
    yes: bool,
) -> Result:
    """Bring the target environment to FILE (pylock.toml); a torch that is there is kept, another one refused."""
    if locked and frozen:
        raise UsageError("`--locked` looks at what `--frozen` is not to look at", hints=["give one of them"])
    path = file or api.LOCK_FILE
    settings = context.settings
    plan = api.prepare_sync(
        path,
        environment=environment,
        exact=exact,
        locked=locked,
        frozen=frozen,
        find_links=find_links,
        settings=settings,
    )

    def apply(watch: api.Watch) -> InstallResult:
        return api.sync(path, plan=plan, watch=watch, settings=settings)

    return carry_out(context, plan, apply, dry_run=dry_run, explain=explain, yes=yes)


COMMANDS = {"sync": sync}
