"""`mimctl status` of many long runs, against what has to be done for none: CPU time, median of several.

python tests/bench/status.py [RUNS [MIB]]

Each run has MIB mebibytes of events, the last checkpoint and the last validation an epoch before their end.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.record import RunRecord

TIMES = 7
EPOCH = 200
"""Logged steps after the last checkpoint."""


def step(number: int) -> str:
    """Return the line of a logged step, as long as those of a detector."""
    scalars = dict.fromkeys(("lr", "loss", "loss_cls", "loss_bbox", "time", "data_time", "grad_norm"), number / 7)
    event = {"event": "step", "time": 1.5, "phase": "train", "step": number, "steps": 9, "epoch": 1, "scalars": scalars}
    return json.dumps(event) + "\n"


def events(mib: int) -> str:
    """Return the events of a long training."""
    many = "".join(map(step, range(1000)))
    text = many * (mib * 2**20 // len(many))
    text += '{"event": "metrics", "metrics": {"coco/bbox_mAP": 0.4}}\n{"event": "checkpoint", "path": "epoch_9.pth"}\n'
    return text + "".join(map(step, range(EPOCH)))


def write_runs(home: Path, count: int, mib: int) -> None:
    """Write down so many runs of this machine that have ended."""
    book, text = RunBook(home / "runs"), events(mib)
    for number in range(count):
        folder = home / "work_dirs" / str(number)
        folder.mkdir(parents=True)
        (folder / "events.jsonl").write_text(text)
        (folder / "exit_code").write_text("0\n")
        book.add(
            RunRecord(
                run_id=f"run{number:03d}",
                name="net",
                plugin="det",
                action="train",
                config="net.py",
                work_dir=str(folder),
                run_dir=str(folder),
                launcher="none",
                started=float(number),
                host=os.uname().nodename,
                argv=("python",),
            )
        )


def cpu_ms(home: Path, count: int) -> float:
    """Return user + system time of one `mimctl status`, in ms."""
    argv = [sys.executable, "-P", "-m", "mimctl", "status", "-n", str(count)]
    environment = {**os.environ, "MIMCTL_HOME": str(home)}
    child = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(child.pid, 0)
    assert code == 0
    return 1000 * (usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Print what the list of all runs costs above that of none, in all and for each of them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    mib = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    with tempfile.TemporaryDirectory() as folder:
        full, empty = Path(folder, "full"), Path(folder, "empty")
        write_runs(full, count, mib)
        samples = [(cpu_ms(empty, count), cpu_ms(full, count)) for _ in range(TIMES)]
    none, all_ = (statistics.median(each) for each in zip(*samples, strict=True))
    print(f"no run: {none:.0f} ms of CPU time; {count} runs of {mib} MiB of events each: {all_:.0f} ms")
    print(f"a run: {(all_ - none) / count:.2f} ms")


if __name__ == "__main__":
    main()
