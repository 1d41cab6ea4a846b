"""The `data` verb of a toolbox: recognise a folder, report what is in it, and name its splits.

Writes split lists only into the run's work directory, never into the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError
from mimctl.spec import RunSpec
from mimctl.vision.folders.model import Found, Layout, Split, divide, subset, unreadable

SHOWN_PROBLEMS = 10
Shortage = Callable[[Found, dict[str, Split]], Sequence[str]]
"""What a toolbox finds lacking in a folder and its completed splits, as texts."""


def describe_folder(
    spec: RunSpec, layouts: Sequence[Layout], *, known: str, shortage: Shortage, objects: str | None = None
) -> dict[str, Any]:
    """Return a report of the folder `options["dir"]` as plain data, in the first of the layouts that it has.

    Keys: `ok`, `layout` (its name, or None), `root`, `classes`, `splits` {train, val, test: counts and how a dataset
    reads them}, `problems` (the first ten) and `num_problems`, `notes`, `made_split` (None, or the seed and fraction of
    a split that was made, with its list files), and what the layout adds (`Found.further`). `known` says which layouts
    there are; `objects` is the word for what labels count.
    Options: `dir`, `split_seed` (default 0), `val_fraction` (0..1, default 0.2).
    """
    path = Path(spec.options["dir"]).expanduser()
    if not path.exists():
        raise MimctlError(f"`{path}` does not exist", code="data-not-found", hints=["give the folder of your images"])
    place_of = {layout: layout.find(path) for layout in layouts}
    layout = next((each for each in layouts if place_of[each] is not None), None)
    if layout is None:
        return _unknown(path, known)
    place = place_of[layout]
    assert place is not None
    found = layout.read(place.resolve())
    fraction = float(spec.options.get("val_fraction") or 0.2)
    seed = int(spec.options.get("split_seed") or 0)
    splits, made = complete_splits(found, layout, Path(spec.work_dir or "."), fraction=fraction, seed=seed)
    everything = tuple({sample.image: sample for split in found.splits.values() for sample in split.samples}.values())
    problems = [str(problem) for problem in (*found.problems, *unreadable(everything), *shortage(found, splits))]
    return {
        "ok": not problems,
        "layout": found.layout,
        "root": str(place.resolve()),
        "classes": list(found.classes),
        "splits": {name: split.facts(found.classes, objects) for name, split in splits.items()},
        "problems": problems[:SHOWN_PROBLEMS],
        "num_problems": len(problems),
        "notes": _shorten(found.notes),
        "made_split": made,
        **found.further,
    }


def complete_splits(
    found: Found, layout: Layout, out: Path, *, fraction: float, seed: int
) -> tuple[dict[str, Split], dict[str, Any] | None]:
    """Return train, val and test: given splits as they are, missing ones divided off reproducibly.

    Without a validation split a part of the training samples becomes it; without a test split validation stands in.
    Splits that were made (and those whose layout has to list them and lists none) are written to `<out>/splits/`.
    """
    splits = dict(found.splits)
    pool = splits.pop("all", None)
    base = splits.get("train") or pool
    if base is None or len(base.samples) < 2:
        return splits, None
    made: dict[str, Any] | None = None
    if "val" not in splits or "train" not in splits:
        if "train" in splits or "val" not in splits:
            train, held = divide(base.samples, fraction=fraction, seed=seed)
            splits["val"] = subset(base, held, "")
        else:
            train = base.samples
        splits["train"] = subset(base, train, "")
        made = {"seed": seed, "fraction": fraction, "files": {}}
    for name, split in list(splits.items()):
        if split.ann_file == "":
            folder = out / "splits"
            folder.mkdir(parents=True, exist_ok=True)
            listing = layout.write_subset(split, base, folder / name)
            splits[name] = subset(split, split.samples, str(Path(listing).resolve()))
            if made is not None:
                made["files"][name] = splits[name].ann_file
    splits.setdefault("test", splits["val"])
    return {name: splits[name] for name in ("train", "val", "test")}, made


def _shorten(notes: tuple[str, ...]) -> list[str]:
    shown = list(notes[:SHOWN_PROBLEMS])
    return shown if len(notes) <= SHOWN_PROBLEMS else [*shown, f"and {len(notes) - SHOWN_PROBLEMS} more"]


def _unknown(path: Path, known: str) -> dict[str, Any]:
    seen = sorted(each.name + ("/" if each.is_dir() else "") for each in path.iterdir()) if path.is_dir() else []
    shown = ", ".join(seen[:12]) + (f", and {len(seen) - 12} more" if len(seen) > 12 else "")
    return {
        "ok": False,
        "layout": None,
        "root": str(path.resolve()),
        "classes": [],
        "splits": {},
        "problems": [f"{known}; it holds: {shown or 'nothing'}"],
        "num_problems": 1,
        "notes": [],
        "made_split": None,
    }
