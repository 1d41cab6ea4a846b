"""Scripts of the toolbox `toy`: in its folders, as a module, as a command of its distribution."""

from __future__ import annotations

from pathlib import Path

SAY = '''\
"""Writes down how it was started, and ends as it is told."""

import json
import os
import sys
import time
from pathlib import Path

import beside

PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
rank = os.environ.get("RANK", "-")
told = {
    "argv": sys.argv[1:],
    "name": __name__,
    "file": sys.argv[0],
    "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
    "host": os.environ.get("SLURMD_NODENAME"),
    **{name: os.environ.get(name) for name in PLACE},
}
Path(f"said-{rank}.json").write_text(json.dumps(told))
print(f"rank {rank}: out {beside.WORD}")
print(f"rank {rank}: err", file=sys.stderr)
if "--exit" in sys.argv and rank in ("-", sys.argv[sys.argv.index("--exit") + 2]):
    sys.exit(int(sys.argv[sys.argv.index("--exit") + 1]))
if "--raise" in sys.argv and rank in ("-", "1"):
    raise ValueError("a bug in a script")
if "--read" in sys.argv:
    print("read: " + sys.stdin.readline())
if "--meet" in sys.argv:
    import torch
    from torch import distributed

    distributed.init_process_group("gloo")
    whole = torch.ones(1)
    distributed.all_reduce(whole)
    Path(f"met-{rank}").write_text(str(whole.item()))
    distributed.destroy_process_group()
if "--long" in sys.argv:
    Path(f"long-{rank}").touch()
    time.sleep(900)
'''

COMMAND = """\
import sys


def main():
    print("command", sys.argv)
    return int(sys.argv[1]) if len(sys.argv) > 1 else "said by the command"


class Group:
    @staticmethod
    def second():
        print("second")


if __name__ == "__main__":
    print("module", sys.argv[1:])
"""


def add_scripts(package: Path) -> None:
    """Give a toolbox that `install_toolbox` has installed its scripts."""
    files = {
        "tools/say.py": SAY,
        "tools/beside.py": "WORD = 'to all'\n",
        "tools/deep/flops.py": "print('flops')\n",
        "tools/one/same.py": "",
        "tools/two/same.py": "",
        "demo/show.py": "print('shown')\n",
        "demo/say.py": "raise SystemExit('tools come first')\n",
        "command.py": COMMAND,
        "quiet.py": "print('a module without more')\n",
        "many/__init__.py": "",
        "many/__main__.py": "print('many')\n",
    }
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    name = package.name.removeprefix("mimctl_")
    points = next(package.parent.glob(f"{package.name}-*.dist-info")) / "entry_points.txt"
    scripts = (
        f"{name}-command = {package.name}.command:main [extra]\n{name}-second={package.name}.command:Group.second\n"
    )
    points.write_text(points.read_text() + f"\n[console_scripts]\n{scripts}")
