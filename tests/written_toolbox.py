"""A whole toolbox in a folder, as its author has it: a model, configs, metadata, and nothing wrong with it."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "mimctl-dots"
version = "0.3"
license = "Apache-2.0"
dependencies = [
    "mimctl[engine]>=0.1,<0.2",
]
requires-python = ">=3.11"

[project.entry-points."mimctl.plugins"]
dots = "mimctl_dots"
""",
    "README.md": "# mimctl-dots\n\nCounts dots.\n",
    "mimctl_dots/__init__.py": '"""Counts dots."""\n',
    "mimctl_dots/plugin.toml": """\
schema_version = 1
name = "dots"
summary = "counts dots"
aliases = ["dotty"]
requires_engine = ">=0.1,<0.2"

[verbs]
train = "mimctl.engine.actions:train"
infer = "mimctl_dots.verbs:infer"

[configs]
root = "configs"

[contract]
input = [1, 3, 16, 16]

[[families]]
name = "Dots"
configs = "dots/*"
""",
    "mimctl_dots/verbs.py": '"""Verbs."""\n\n\ndef infer(spec):\n    return {"images": list(spec.inputs)}\n',
    "mimctl_dots/models.py": '''\
"""Models."""

from torch import nn

from mimctl.engine.model import BaseModel
from mimctl.engine.registry import MODELS


@MODELS.register_module()
class DotCounter(BaseModel):
    """Count dots by a convolution."""

    def __init__(self, width, depth=2, data_preprocessor=None, init_cfg=None):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.layers = nn.Sequential(*(nn.Conv2d(3 if each == 0 else width, width, 3) for each in range(depth)))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = self.layers(inputs)
        if mode == "tensor":
            return out
        if mode == "loss":
            return {"loss": out.mean()}
        if mode == "predict":
            return [out]
        raise ValueError(f"no mode {mode!r}")
''',
    "mimctl_dots/configs/_base_/model.py": "model = dict(type='DotCounter', width=4)\n",
    "mimctl_dots/configs/dots/dots_small.py": "_base_ = '../_base_/model.py'\ndefault_scope = 'dots'\n",
    "mimctl_dots/configs/dots/dots_deep.py": "_base_ = './dots_small.py'\nmodel = dict(depth=3)\n",
}


def make_toolbox(folder: Path) -> Path:
    """Write the toolbox into `folder`, its table of types with it, and return `folder`."""
    from mimctl.config.types import generate, to_text

    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    table = folder / "mimctl_dots" / "types.json"
    table.write_text(to_text(generate(table.parent)), encoding="utf-8")
    return folder


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Replace `old`, which must be there, in one of the toolbox's files."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")
