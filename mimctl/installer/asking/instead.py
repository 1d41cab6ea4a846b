"""Names that people type out of habit, and what mimctl has in their place: facts in one table (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from mimctl.errors import MimctlError
from mimctl.plugin.openmmlab import MMCV_BUILDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Instead:
    """What mimctl has in the place of a distribution; `is_refused` says that its name alone is not enough."""

    facts: tuple[str, ...]
    answer: str
    insist: str
    """What to type for that very distribution."""
    is_refused: bool


_LAST = MMCV_BUILDS[-1]
_OPS = "`mimctl install det` brings the same operators as `mimctl-ops`: wheels for torch >= 2.10, one for all Pythons"

INSTEAD = {
    "mmcv": Instead(
        facts=(
            f"its wheels end at torch {_LAST.torch} and Python {_LAST.python}, there are none for aarch64 or ROCm",
            "elsewhere it is compiled for an hour, or comes without operators",
        ),
        answer=_OPS,
        insist="mimctl install mmcv==2.1.0",
        is_refused=True,
    ),
    "mmcv-full": Instead(
        facts=("the name of mmcv 1.x with operators; its wheels end at torch 1.13 and Python 3.10",),
        answer=_OPS,
        insist="mimctl install mmcv-full==1.7.2",
        is_refused=True,
    ),
    "mmcv-lite": Instead(
        facts=("mmcv without its operators",),
        answer=_OPS,
        insist="mimctl install mmcv-lite==2.1.0",
        is_refused=True,
    ),
    "mmengine": Instead(
        facts=("mimctl has an engine of its own, which runs MMEngine's configs",),
        answer="no toolbox of mimctl needs mmengine; it is installed all the same, as you asked for it",
        insist="",
        is_refused=False,
    ),
    "openmim": Instead(
        facts=("mimctl has its verbs",),
        answer="mimctl does what `mim` does; it is installed all the same, as you asked for it",
        insist="",
        is_refused=False,
    ),
}
INSTEAD |= {"mmengine-lite": INSTEAD["mmengine"], "onedl-mim": INSTEAD["openmim"], "onedl-mmcv": INSTEAD["mmcv"]}
INSTEAD |= {"onedl-mmengine": INSTEAD["mmengine"]}

OPENMMLAB = frozenset(
    {
        "mmdet",
        "mmdet3d",
        "mmcls",
        "mmpretrain",
        "mmsegmentation",
        "mmpose",
        "mmocr",
        "mmaction2",
        "mmagic",
        "mmedit",
        "mmrazor",
        "mmrotate",
        "mmselfsup",
        "mmtrack",
        "mmyolo",
        "mmflow",
        "mmfewshot",
        "mmhuman3d",
        "mmgen",
        "mmdeploy",
        *INSTEAD,
    }
)
"""Distributions whose names resemble each other and ours, and that exist: none of them is a slip of the finger."""


def refusal_of(name: str, typed: str) -> MimctlError | None:
    """Return the answer to a request for something that mimctl has in another form, None where it is simply installed.

    An exact version insists, and is not asked about.
    """
    instead = INSTEAD.get(name)
    if instead is None or not instead.is_refused:
        return None
    return MimctlError(
        f"mimctl has something in the place of `{typed}`",
        code="served-by-ours",
        causes=list(instead.facts),
        hints=[instead.answer, f"for that very distribution name a version, wheels only: `{instead.insist}`"],
    )


def note_of(name: str) -> str | None:
    """Return what a person may want to know of a request that goes on."""
    instead = INSTEAD.get(name)
    return instead.answer if instead is not None and not instead.is_refused else None
