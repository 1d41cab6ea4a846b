"""Lines of shell that a user and a cluster's settings want to run before the ranks start."""

from __future__ import annotations

import shlex

from mimctl.launch.model import SlurmOptions

_SETUP = """\
# What --setup and the settings of this cluster say comes first; a line that fails ends it all.
set_up() {{ [ "$1" -eq 0 ] || {{ echo "set-up failed with exit code $1: $2" >&2; {on_failure}exit "$1"; }}; }}
{lines}
{afterwards}
"""


def render_setup(slurm: SlurmOptions, *, run: str = "") -> str:
    """Return the set-up lines, each followed by a look at how it went; `run` is the run's folder in a batch script."""
    if not slurm.setup:
        return ""
    lines = [f"{each}\nset_up $? {shlex.quote(each)}" for each in slurm.setup]
    return _SETUP.format(
        lines="\n".join(lines),
        on_failure='echo "$1" > "$RUN/exit_code"; ' if run else "",
        # A line may have sourced what sets these, and what follows looks at exit codes itself.
        afterwards=f"set +eu\nRUN={run}\n" if run else "",
    )
