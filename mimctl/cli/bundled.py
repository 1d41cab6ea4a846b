"""What `mimctl install --bundle DIR` does: check the folder, then install from it without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import api
from mimctl.cli.options import Context
from mimctl.cli.plans import carry_out
from mimctl.cli.result import Line, Result

if TYPE_CHECKING:
    from mimctl.installer.model import InstallResult


def install_bundle(
    context: Context, folder: Path, machine: str | None, *, dry_run: bool, explain: bool, yes: bool
) -> Result:
    """Install what a bundle holds into the target environment; `machine` is where it is to run (`--for`)."""
    output, settings = context.output, context.settings
    output.note(f"checking {folder}")
    found = api.open_bundle(folder)
    plan = api.prepare_bundled(found, machine=machine, settings=settings)

    def apply(watch: api.Watch) -> InstallResult:
        return api.install_bundled(found, plan=plan, watch=watch, settings=settings)

    if plan.nothing_to_do and not dry_run:
        with output.transfer_view() as watch:
            apply(watch)  # its weights and data may not be in their places yet
    result = carry_out(context, plan, apply, dry_run=dry_run, explain=explain, yes=yes)
    told: list[Line] = [f"data: {each}" for each in found.data_dirs]
    data = {
        **result.data,
        "weights": [each.url for each in found.weights],
        "datasets": [str(each) for each in found.data_dirs],
    }
    return result._replace(data=data, lines=[*result.lines, *told])
