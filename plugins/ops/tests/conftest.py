"""Makes `op_checks` importable: the tests run from the source tree and, with only a wheel installed, anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
