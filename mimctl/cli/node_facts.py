"""What `mimctl env --partition` does: have a node of a cluster looked at, and show what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimctl import api
from mimctl.cli.options import Context
from mimctl.cli.result import Result, Styled, table

if TYPE_CHECKING:
    from mimctl.launch.slurm.nodes.look import Look


def show_node(
    context: Context,
    partition: str,
    *,
    wait: int | None,
    account: str | None,
    qos: str | None,
    srun_args: str | None,
) -> Result:
    """Look at a node of a partition and show its facts."""
    from mimctl.cli.commands.env import fact_rows
    from mimctl.launch.slurm.nodes.look import WAIT_S

    context.output.note(f"waiting at most {wait or WAIT_S} s for a node of partition `{partition}`")
    look = api.look_at(partition, wait_s=wait, account=account, qos=qos, srun_args=srun_args, settings=context.settings)
    words = api.lock_words(look.found)
    rows = [*_head(look), ("lock", words or "none", "for `lock --for`, `bundle --for`"), *fact_rows(look.found.facts)]
    return Result(
        data={**look.document, "lock": words, "path": str(look.path)},
        lines=table(rows, head=("fact", "value", "source")),
        quiet=[f"{name} {value}" for name, value, _ in rows],
        notes=[*_warnings(look), f"kept: runs on `{partition}` and `mimctl install --for {partition}` go by it"],
    )


def _head(look: Look) -> list[tuple[str, str, str]]:
    rows = [("cluster", look.cluster, "scontrol show config"), ("partition", look.partition, "--partition")]
    rows += [("nodes", f"{each.names}: {each}", "sinfo") for each in look.kinds]
    rows += [("node", f"{look.found.node}, {look.found.looked}", "srun"), ("target", look.found.python, "srun")]
    return rows


def _warnings(look: Look) -> list[Any]:
    if len(look.kinds) < 2:
        return []
    text = f"partition `{look.partition}` has {len(look.kinds)} kinds of nodes; {look.found.node} alone was looked at"
    return [Styled(f"warning: {text}", "yellow")]
