"""A toolbox without torch, installed as an installer does it, and the command line run as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A finished process."""

    code: int
    out: str
    err: str


MANIFEST = """\
schema_version = 1
name = "{name}"
summary = "a toolbox for tests"
aliases = ["old{name}"]
scopes = ["old{name}"]

[verbs]
train = "mimctl_{name}.entries:train"
test = "mimctl_{name}.entries:test"
infer = "mimctl_{name}.entries:infer"
data = "mimctl_{name}.entries:data"

[configs]
root = "configs"
"""

TYPES = """\
{"schema_version": 1, "package": "mimctl_toy", "scope": "toy", "kinds": {"dataset": {
 "ToySet": {"module": "mimctl_toy.entries", "params": {}, "extra": true}}, "model": {
 "ToyNet": {"module": "mimctl_toy.entries", "params": {"width": {"required": true}, "mode": {"required": false}},
            "extra": false}}}}
"""

CONFIG = """\
default_scope = 'toy'
model = dict(
    type='ToyNet',
    width=4)
train_cfg = dict(by_epoch=True, max_epochs=2)
"""

ENTRIES = '''\
"""Verbs that need no torch."""

import os
import signal
import sys
import time
from pathlib import Path

from mimctl.engine.reporting.events import open_events


def train(spec):
    from mimctl.config import Config
    from mimctl.errors import MimctlError

    config = Config.fromfile(spec.config, overrides=spec.overrides)
    behaviour = config.model.get("mode", "good")
    events = open_events(spec)
    events.emit("phase", phase="train", epoch=1, max_epochs=2)
    for step in range(1, 4):
        events.emit("step", phase="train", step=step, steps=3, epoch=1, scalars={"loss": 1.0 / step}, eta_s=3 - step)
    if behaviour == "exits":
        print("last words")
        sys.stdout.flush()
        os._exit(7)
    if behaviour == "crashes":
        raise ValueError("the net tore")
    if behaviour == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if behaviour == "refuses":
        raise MimctlError("no such thing", code="data-not-found", causes=["it is gone"], exit_code=1)
    if behaviour == "hangs":
        if os.fork() == 0:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            Path(spec.work_dir, "worker").write_text(str(os.getpid()))
            time.sleep(900)
            os._exit(0)
        Path(spec.work_dir, "child").write_text(str(os.getpid()))
        time.sleep(900)
    checkpoint = Path(spec.work_dir, "epoch_2.pth")
    checkpoint.write_bytes(b"weights")
    events.emit("checkpoint", path=str(checkpoint))
    events.emit("metrics", phase="val", epoch=2, metrics={"toy/score": 0.5})
    return {"work_dir": spec.work_dir, "checkpoint": str(checkpoint), "metrics": {"toy/score": 0.5}}


def test(spec):
    return {"metrics": {"toy/score": 0.75, "toy/seen": 12}}


def infer(spec):
    boxes = [{"label": "cat", "score": 0.9, "box": [1, 2, 30, 40]}]
    return {"classes": ["cat"], "images": [{"path": path, "boxes": boxes, "picture": None} for path in spec.inputs]}


def data(spec):
    folder = Path(spec.options["dir"])
    images = sorted(str(path) for path in folder.glob("*.jpg"))
    split = {
        "images": len(images), "boxes": 3, "dataset_type": "ToySet", "data_root": str(folder), "ann_file": "a.json",
        "data_prefix": {"img": ""}, "extra": {},
    }
    problems = [] if images else ["no image was found"]
    return {
        "ok": not problems, "layout": "toy" if images else None, "root": str(folder), "classes": ["cat", "dog"],
        "splits": {"train": split, "val": split, "test": split} if images else {}, "problems": problems,
        "num_problems": len(problems), "notes": [], "made_split": None,
    }
'''


def command(*arguments: str | Path) -> list[str]:
    """Return the argv of a `mimctl` line; MIMCTL_TEST_PYTHON names another interpreter to run it."""
    return [os.environ.get("MIMCTL_TEST_PYTHON") or sys.executable, "-m", "mimctl", *map(str, arguments)]


def install_toolbox(site: Path, name: str, *, entry: str | None = None, manifest: str = MANIFEST) -> Path:
    """Put a toolbox into a folder of an import path, as an installer does."""
    info = site / f"mimctl_{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mimctl-{name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[mimctl.plugins]\n{name} = {entry or f'mimctl_{name}'}\n")
    package = site / f"mimctl_{name}"
    configs = package / "configs" / "nets"
    configs.mkdir(parents=True)
    (package / "__init__.py").write_text("import sys\nassert 'click' not in sys.modules, 'no imports!'\n")
    (package / "plugin.toml").write_text(manifest.format(name=name))
    (package / "entries.py").write_text(ENTRIES)
    (package / "types.json").write_text(TYPES.replace("toy", name))
    (configs / f"{name}_small.py").write_text(CONFIG.replace("toy", name))
    (configs / f"{name}_big_1x.py").write_text(CONFIG.replace("toy", name))
    (configs / f"{name}_big_2x.py").write_text(CONFIG.replace("toy", name))
    return package


def loaded_modules(arguments: Sequence[str], environment: dict[str, str], folder: Path) -> int:
    """Return how many modules a `mimctl` line has loaded when it ends."""
    code = (
        "import atexit, sys\n"
        "sys.argv = ['mimctl', *sys.argv[1:]]\n"
        "atexit.register(lambda: print(len(sys.modules), file=open('modules', 'w')))\n"
        "from mimctl.__main__ import main\n"
        "sys.exit(main())\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=environment, capture_output=True, timeout=240
    )
    return int((folder / "modules").read_text())
