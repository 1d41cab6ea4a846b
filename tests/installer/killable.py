"""A process that plans an installation once and makes it, or a repair, again and again in children that may be killed.

Reads `install` or `repair` from stdin, one a line; prints the child's process number, and its exit status when it ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mimctl.environment.detect import detect
from mimctl.index.client import IndexClient
from mimctl.index.sources import read_sources
from mimctl.installer.apply import apply
from mimctl.installer.backends.backend import choose_backend
from mimctl.installer.model import InstallOptions
from mimctl.installer.prepare import Places, prepare_install
from mimctl.installer.transaction.recovery import repair
from mimctl.transfer import TransferSettings


def main(venv: str, address: str, cache: str, choice: str) -> None:
    """Plan, and serve the lines of stdin."""
    env = detect(Path(venv))
    transfer = TransferSettings(retries=0)
    places = Places(
        client=IndexClient([address], transfer, Path(cache)),
        sources=read_sources(os.environ),
        transfer=transfer,
        cache_dir=Path(cache),
    )
    backend = choose_backend(env, choice)
    plan = prepare_install(["det"], env=env, places=places, options=InstallOptions(upgrade=True))
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            if line.strip() == "install":
                apply(plan, transfer=transfer, cache_dir=Path(cache), backend=backend)
            else:
                repair(env, print)
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
