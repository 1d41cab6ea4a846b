"""Where the ranks of a job meet: lines of shell that look for a port at the first node of an allocation."""

from __future__ import annotations

_FIRST = "$((20000 + SLURM_JOB_ID % 12000))"
"""Below 32768, from where systems give ports away by themselves."""
_LOOK = """\
# Jobs that share a node have neighbouring ids; where somebody answers, the ranks of another meet.
{indent}MASTER_PORT={first}
{indent}while (: <> "/dev/tcp/127.0.0.1/$MASTER_PORT") 2> /dev/null; do MASTER_PORT=$((MASTER_PORT + 1)); done"""
_OF_BATCH = """\
if [ -z "${{MASTER_PORT:-}}" ]; then
  {look}
fi
export MASTER_PORT"""
_OF_TASK = """\
if [ -z "${{MASTER_PORT:-}}" ]; then
  # The first task looks for a port at its node, and leaves word for the others.
  WORD="port-$SLURM_JOB_ID.$SLURM_STEP_ID"
  if [ "$SLURM_PROCID" -eq 0 ]; then
    {look}
    echo "$MASTER_PORT" > {folder}/".$WORD"
    mv {folder}/".$WORD" {folder}/"$WORD"
  else
    # Listing a folder shows what is new there, also where a file system keeps for a while what it was told of files.
    until ls {folder} | grep -qFx "$WORD"; do sleep 0.1; done
    MASTER_PORT="$(cat {folder}/"$WORD")"
  fi
fi
export MASTER_PORT"""


def port_of_batch(port: int | None) -> str:
    """Return the lines that set MASTER_PORT in a batch script: `port`, what the user exports, or a free one."""
    return _fixed(port) if port else _OF_BATCH.format(look=_look("  "))


def port_of_task(port: int | None, folder: str) -> str:
    """Return the lines that set MASTER_PORT in each task of a step; `folder`, quoted, is one that all tasks see."""
    return _fixed(port) if port else _OF_TASK.format(look=_look("    "), folder=folder)


def _look(indent: str) -> str:
    return _LOOK.format(indent=indent, first=_FIRST)


def _fixed(port: int) -> str:
    return f'export MASTER_PORT="{port}"'
