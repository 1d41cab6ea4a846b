"""Reading real configs: CPU time and memory over all classic files of some toolboxes, in one run each.

    pip install --no-deps --target FOLDER mmdet==3.3.0 mmpretrain==1.2.0 mmsegmentation==1.2.2 mmpose==1.3.2 \
        mmocr==1.0.1 mmaction2==1.2.0 mmyolo==0.6.0
    python tests/bench/config.py FOLDER [--peer PYTHON]

`--peer` is the interpreter of an environment with `mmengine==0.10.7`: both read the same files (mmengine without
`custom_imports`, which would import the toolboxes). Each reader is one fresh process; CPU time is user and system time
of reading alone, without imports and start; memory is the peak above that of an interpreter that does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

START = """
import ast, json, os, sys, time
files = json.load(sys.stdin)
def peak():
    # VmHWM counts from the start of this program, other than ru_maxrss
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
"""
OURS = """
from pathlib import Path
from mimctl.config import Config
from mimctl.errors import MimctlError as Refusal
names = {"mmcls": "mmpretrain", "mmsegmentation": "mmseg", "mmaction2": "mmaction"}
def search(reference):
    package, _, inner = reference.partition("::")
    return Path(sys.argv[1], names.get(package, package), ".mim", "configs", inner)
def read(path):
    Config.fromfile(path, search=search)
"""
PEER = """
import logging, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from mmengine.config import Config
Refusal = Exception
def read(path):
    Config.fromfile(path, import_custom_modules=False)
"""
PARSE = """
Refusal = SyntaxError
def read(path):
    with open(path, encoding="utf-8") as stream:
        ast.parse(stream.read())
"""
MEASURE = """
refused, start = 0, time.process_time()
for path in files:
    try:
        read(path)
    except Refusal:
        refused += 1
print(json.dumps({"cpu_s": time.process_time() - start, "refused": refused, "peak": peak()}))
"""


def measure(python: str, program: str, folder: Path, files: list[str]) -> dict[str, float]:
    """Run one reader over all files; return CPU seconds, how many it refused, peak MiB."""
    done = subprocess.run(
        [python, "-c", START + program, str(folder)],
        input=json.dumps(files),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print what ours, bare parsing and the peer take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", help="interpreter of an environment with mmengine 0.10.7")
    options = parser.parse_args()
    folder = options.folder.resolve()
    files = sorted(str(path) for path in folder.glob("*/.mim/configs/**/*.py"))
    bare = measure(sys.executable, "print(json.dumps({'peak': peak()}))", folder, files)["peak"]
    readers = [("mimctl", sys.executable, OURS), ("ast.parse alone", sys.executable, PARSE)]
    readers += [("mmengine", options.peer, PEER)] if options.peer else []
    ours = 0.0
    for name, python, program in readers:
        found = measure(python, program + MEASURE, folder, files)
        ours = ours or found["cpu_s"]
        print(
            f"{name:>16}: {found['cpu_s']:6.2f} s, {1000 * found['cpu_s'] / len(files):6.3f} ms a file, "
            f"{found['cpu_s'] / ours:5.2f} times ours, {found['refused']:.0f} of {len(files)} refused, "
            f"+{found['peak'] - bare:.0f} MiB"
        )


if __name__ == "__main__":
    main()
