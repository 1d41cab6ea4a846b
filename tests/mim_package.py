"""A small package that follows mim's convention, as a real wheel, and environments to install it into."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tiny_wheels import write_wheel

SCRIPT = '''\
"""Says how it was started, and ends as it is told."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main():
    names = ("MASTER_PORT", "CUDA_VISIBLE_DEVICES", "RANK")
    told = {"argv": sys.argv[1:], "python": sys.executable, **{name: os.environ.get(name) for name in names}}
    Path("started.json").write_text(json.dumps(told))
    print("script: " + json.dumps(sys.argv[1:]))
    if "--exit" in sys.argv:
        sys.exit(int(sys.argv[sys.argv.index("--exit") + 1]))
    if "--hang" in sys.argv:
        worker = os.fork()
        Path("pids").write_text(f"{os.getpid()} {worker or os.getpid()}")
        time.sleep(900)
    if "--die" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)


main()
'''

LAUNCHER = """\
import runpy, sys
options = [each for each in sys.argv[1:] if each.startswith(("--nproc", "--master"))]
script, *rest = [each for each in sys.argv[1:] if each not in options]
print("launched with", *options)
sys.argv = [script, *rest]
runpy.run_path(script, run_name="__main__")
"""

METAFILE = """\
Collections:
  - Name: Net
    Metadata: {Training Data: COCO, Architecture: [FPN, ResNet]}
Models:
  - Name: net_s_1x_coco
    Alias: [net-s]
    In Collection: Net
    Config: configs/net/net_s_1x_coco.py
    Metadata: {Epochs: 12, Training Memory (GB): 3.5}
    Results: [{Task: Object Detection, Dataset: COCO, Metrics: {box AP: 40.5}}]
    Weights: WEIGHTS
  - Name: net_l_3x_coco
    In Collection: Net
    Config: configs/net/net_l_3x_coco.py
    Metadata: {Epochs: 36}
    Results: [{Task: Object Detection, Dataset: COCO, Metrics: {box AP: 48.1}}]
  - a text where a model belongs
  - Name: "evil\\e[31m<b>"
    In Collection: Net
    Config: configs/../../../etc/passwd
"""

FILES: Mapping[str, str] = {
    "__init__.py": "raise RuntimeError('nobody may import me')\n",
    ".mim/model-index.yml": "Import:\n  - configs/net/metafile.yml\n",
    ".mim/dataset-index.yml": (
        "openxlab: true\ncoco:\n  dataset: Open/COCO\n  download_root: raw\n"
        "  data_root: data/coco\n  script: tools/ready.sh\n"
    ),
    ".mim/configs/_base_/runtime.py": "log_level = 'INFO'\n",
    ".mim/configs/net/metafile.yml": METAFILE,
    ".mim/configs/net/net_s_1x_coco.py": "_base_ = '../_base_/runtime.py'\nmodel = dict(type='Net', depth=50)\n",
    ".mim/configs/net/net_l_3x_coco.py": "_base_ = 'mmtoy::net/net_s_1x_coco.py'\nmodel = dict(depth=101)\n",
    ".mim/configs/one/twin.py": "a = 1\n",
    ".mim/configs/two/twin.py": "a = 2\n",
    ".mim/tools/train.py": SCRIPT,
    ".mim/tools/test.py": SCRIPT,
    ".mim/tools/needy.py": "import mmtoy\nimport mmcv\n",
    ".mim/tools/analysis_tools/get_flops.py": SCRIPT,
    ".mim/tools/one/same.py": SCRIPT,
    ".mim/tools/two/same.py": SCRIPT,
    ".mim/tools/ready.sh": 'echo "$1 $2"; ls "$1" > "$2/ready"\n',
    ".mim/demo/show.py": SCRIPT,
    ".mim/demo/train.py": "raise SystemExit('the wrong one')\n",
}


def write_package(
    folder: Path,
    *,
    name: str = "mm_toy_suite",
    module: str = "mmtoy",
    version: str = "1.2.0",
    metadata: str = "",
    changes: Mapping[str, str | None] | None = None,
    weights: str = "https://weights.example/net_s_1x_coco-00000000.pth",
) -> Path:
    """Write the package's wheel; `changes` are files of the module to add, or to leave out (None)."""
    files = {**FILES, **(changes or {})}
    contents = {
        f"{module}/{path}": text.replace("WEIGHTS", weights).replace("mmtoy", module).encode()
        for path, text in files.items()
        if text is not None
    }
    contents[f"{name}-{version}.dist-info/top_level.txt"] = f"{module}\n".encode()
    header = f"Summary: A package for tests\n{metadata}".strip()
    return write_wheel(folder, f"{name}-{version}-py3-none-any.whl", metadata=header, extra=contents)


def make_venv(folder: Path) -> Path:
    """Make an environment without pip and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def install(python: Path, *words: Path | str) -> None:
    """Install wheels (or `-e` a folder) into an environment with uv, without an index."""
    uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
    if not Path(uv).is_file():
        pytest.skip("uv is not installed")
    argv = [uv, "pip", "install", "--quiet", "--offline", "--no-index", "--no-deps", "--python", python, *words]
    subprocess.run([str(each) for each in argv], check=True)


def fake_torch(folder: Path, version: str = "2.13.0+cpu") -> Path:
    """Write a wheel of a torch that is a version and a launcher."""
    extra = {
        "torch/version.py": f"__version__ = '{version}'\ncuda = None\nhip = None\n".encode(),
        "torch/distributed/__init__.py": b"",
        "torch/distributed/launch.py": LAUNCHER.encode(),
    }
    return write_wheel(folder, f"torch-{version}-py3-none-any.whl", extra=extra)
