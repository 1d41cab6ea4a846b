"""Start the command line; `--version` is answered before anything else is imported."""

from __future__ import annotations

import gc
import sys

_THRESHOLD = 50_000
"""New objects before the garbage collector looks through them; nearly all that a command makes stays till it ends."""


def main() -> int:
    """Run `mimctl` on the process's arguments and return its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from mimctl import __version__

        print(f"mimctl {__version__}")
        return 0
    gc.set_threshold(_THRESHOLD)
    from mimctl.cli.app import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
