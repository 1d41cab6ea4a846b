"""An environment that nobody stands in, by what is said or known of it: another machine, another Python."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from mimctl.environment.installed import Fact, Target
from mimctl.environment.model import Accelerator, Environment, Libc, Paths, Platform

T = TypeVar("T")


def imagine(
    python: str, platform: Platform, libc: Libc | None, accelerator: Accelerator, *, source: str = "--for"
) -> Environment:
    """Return an environment with nothing installed; `python` is `3.11` (its first release) or a full version."""
    nowhere = Path("/nowhere")

    def said(value: T) -> Fact[T]:
        return Fact(value=value, source=source)

    return Environment(
        target=Target(python=nowhere, source=source, is_own=False),
        python=said(python if python.count(".") == 2 else f"{python}.0"),
        abi=said("cp" + "".join(python.split(".")[:2])),
        platform=said(platform),
        libc=said(libc),
        torch=said(None),
        accelerator=said(accelerator),
        gpus=said(accelerator.gpus),
        ops=said(None),
        ops_tier=said(None),
        cv2=said(None),
        slurm=said(None),
        pip=said(None),
        uv=said(None),
        paths=Paths(
            prefix=nowhere,
            purelib=nowhere,
            platlib=nowhere,
            scripts=nowhere,
            data=nowhere,
            search=(),
            is_virtual=True,
        ),
    )
