"""Reading real configs: CPU time and memory over all of a folder's files, against parsing the same texts alone.

    python tests/bench/config.py FOLDER

FOLDER holds OpenMMLab configs, e.g. `mmdet/.mim/configs` unpacked from the wheel `mmdet==3.3.0`.
"""

from __future__ import annotations

import ast
import resource
import sys
import time
from pathlib import Path

from mimctl.config import Config
from mimctl.errors import MimctlError


def main() -> None:
    """Print CPU ms a file for both, and the peak memory above that of the bare start."""
    files = sorted(Path(sys.argv[1]).rglob("*.py"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    refused = 0
    for path in files:
        try:
            Config.fromfile(path)
        except MimctlError:
            refused += 1
    loading = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    start = time.process_time()
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"))
    parsing = time.process_time() - start
    per_file = 1000 / len(files)
    print(f"{len(files)} files, {refused} refused: {loading * per_file:.2f} ms a file, +{grown:.0f} MiB")
    print(f"parsing alone: {parsing * per_file:.2f} ms a file; ratio {loading / parsing:.1f}")


if __name__ == "__main__":
    main()
