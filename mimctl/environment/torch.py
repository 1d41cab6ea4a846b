"""The installed torch, read from `torch/version.py`: importing it would cost more than all the rest together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mimctl.environment.ask import read_text
from mimctl.environment.installed import Distribution, Fact, Torch, release_of

_ASSIGNMENT = re.compile(
    r"^(__version__|cuda|hip|xpu)\s*(?::[^=\n]*)?=\s*(?:'([^'\n]*)'|\"([^\"\n]*)\"|None)", re.MULTILINE
)


def find_torch(search: Iterable[Path], distribution: Distribution | None) -> Fact[Torch | None]:
    """Return the torch that `import torch` would find in `search`."""
    for folder in search:
        file = folder / "torch" / "version.py"
        found = parse_version_file(read_text(file), path=file.parent, distribution=distribution)
        if found is not None:
            return Fact(value=found, source=str(file))
    return Fact(value=None, source="no torch/version.py on the module search path")


def parse_version_file(
    text: str, *, path: Path | None = None, distribution: Distribution | None = None
) -> Torch | None:
    """Return what a `torch/version.py` says, None where it has no `__version__`."""
    values = {match[1]: match[2] or match[3] for match in _ASSIGNMENT.finditer(text)}
    version = values.get("__version__")
    if not version:
        return None
    return Torch(
        version=version,
        cuda=values.get("cuda"),
        hip=values.get("hip"),
        xpu=values.get("xpu"),
        path=path,
        cxx11_abi=_cxx11_abi(version, distribution),
    )


def _cxx11_abi(version: str, distribution: Distribution | None) -> bool | None:
    """Return whether the build uses GCC's C++11 ABI, where that can be told without loading it.

    All Linux wheels from torch 2.7 on do; before, those tagged manylinux_2_28 do.
    """
    if release_of(version) >= (2, 7):
        return True
    if distribution is None:
        return None
    tags = read_text(distribution.path / "WHEEL")
    return True if "manylinux_2_28" in tags else None
