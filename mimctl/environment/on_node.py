"""Look at the machine that this runs on and print its facts: what is sent to a node of a cluster, with no mimctl there.

The package that is sent is this room and what it imports; the interpreter is the target's own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mimctl.environment.accelerator import DRIVER_VARIABLE, GPUS_VARIABLE
from mimctl.environment.detect import describe
from mimctl.environment.installed import Target
from mimctl.environment.nvidia import VISIBLE_VARIABLE
from mimctl.environment.plain import to_plain

MARK = "mimctl-facts: "
"""Begins the line of the answer: a site's own scripts may print lines around it."""
_OF_THE_JOB = (VISIBLE_VARIABLE, "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
_OF_THE_SENDER = (DRIVER_VARIABLE, GPUS_VARIABLE)


def main() -> None:
    """Print the facts as one line of JSON.

    What the job's share of the machine is, and what the sender was told of its own machine, are no facts about it.
    """
    left_out = (*_OF_THE_JOB, *_OF_THE_SENDER)
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in left_out and not name.startswith(("SLURM_", "SLURMD_"))
    }
    target = Target(python=Path(sys.executable), source="the job", is_own=True)
    found = to_plain(describe(target, environ=environ, asks_nvcc=True))
    del found["facts"]["indexes"]  # the configuration of the sender's pip is not looked at here
    print(MARK + json.dumps({**found, "node": os.environ.get("SLURMD_NODENAME") or os.uname().nodename}), flush=True)


if __name__ == "__main__":
    main()
