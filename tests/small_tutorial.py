"""The tutorial's own pieces, for tests that run it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "docs" / "tutorial" / "make_digits.py"
SHORT = ("--cfg-options", "train_dataloader.num_workers=0", "val_dataloader.num_workers=0")

Mimctl = Callable[..., subprocess.CompletedProcess[str]]
