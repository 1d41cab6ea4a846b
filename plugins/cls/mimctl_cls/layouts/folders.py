"""A folder for each class: `cat/*.jpg`, `dog/*.jpg`, in the folder itself or in `train`, `val` and `test`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mimctl.vision.folders.model import Found, Problem, Sample, Split, images_below, split_of
from mimctl_cls.layouts.same import same_images

DATASET = "CustomDataset"
WITHOUT = ("split", "indices", "test_mode", "classes", "with_label", "extensions")
OF_BOXES = frozenset({"annotations", "labels", "imagesets", "labelme"})
FEW = 10


class FoldersLayout:
    """Class folders, alone or below folders named for splits; found up to two single folders further down."""

    name = "folders"

    def find(self, path: Path) -> Path | None:
        """Return the folder that holds class folders or split folders of them."""
        single = None
        for _ in range(3):
            if not path.is_dir() or any(each.name.lower() in OF_BOXES for each in _below(path)):
                return None
            classes = _class_folders(path)
            if _split_folders(path) or len(classes) > 1:
                return path
            single = single or (path if classes else None)
            inner = _folders(path)
            if len(inner) != 1:
                break
            path = inner[0]
        return single

    def read(self, place: Path) -> Found:
        """Read the names of all images; the training split's folders, sorted, are the classes."""
        homes = _split_folders(place) or {"all": place}
        folders = {split: _class_folders(home, with_empty=True) for split, home in homes.items()}
        first = folders.get("train") or folders.get("all") or next(iter(folders.values()))
        classes = tuple(sorted(each.name for each in first))
        problems = [
            Problem(file=str(folder), what="the class folder holds no image")
            for folder in first
            if not images_below(folder)
        ]
        problems += [
            Problem(file=str(image), what="the image is missing: it is a link to nothing")
            for image in (image for each in folders.values() for folder in each for image in images_below(folder))
            if not image.is_file()
        ]
        splits = {}
        for split, home in homes.items():
            for folder in folders[split]:
                if folder.name not in classes:
                    what = f"`{folder.name}` is no class of the training images"
                    problems.append(Problem(file=str(folder), what=what))
            splits[split] = _split(place, home, folders[split], classes, listed=split != "all")
        notes = [*_unread(place, homes), *_remarks(splits, classes), *same_images(splits, classes)]
        return Found(layout=self.name, classes=classes, splits=splits, problems=tuple(problems), notes=tuple(notes))

    def write_subset(self, split: Split, whole: Split, stem: Path) -> str:
        """Write `path label` of each image, one a line."""
        path = stem.with_suffix(".txt")
        lines = (f"{sample.key} {sample.labels[0]}\n" for sample in split.samples)
        path.write_text("".join(lines), encoding="utf-8")
        return str(path)


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))


def _below(path: Path) -> list[Path]:
    return [each for folder in _folders(path) for each in (folder, *_folders(folder))]


def _split_folders(place: Path) -> dict[str, Path]:
    """Return split → folder, where a folder named for the training split holds class folders; else {}."""
    found: dict[str, Path] = {}
    for folder in _folders(place):
        split = split_of(folder.name)
        if split is not None and _class_folders(folder):
            found.setdefault(split, folder)
    return found if "train" in found else {}


def _class_folders(home: Path, *, with_empty: bool = False) -> list[Path]:
    """Return the folders in which images lie, [] where one of them is named for a split or no class can be told."""
    folders = _folders(home)
    held = [each for each in folders if images_below(each)]
    if any(split_of(each.name) for each in held):
        return []
    empty = [each for each in folders if with_empty and not any(each.iterdir())]
    return sorted([*held, *empty]) if held else []


def _split(root: Path, home: Path, folders: list[Path], classes: tuple[str, ...], *, listed: bool) -> Split:
    samples = tuple(
        Sample(key=str(image.relative_to(home)), image=str(image), labels=(classes.index(folder.name),))
        for folder in folders
        if folder.name in classes
        for image in images_below(folder)
    )
    return Split(
        samples=samples,
        dataset_type=DATASET,
        data_root=str(root),
        # Folders of a split need no list: the dataset takes the folders for the classes of their names.
        ann_file=None if listed else "",
        data_prefix=str(home.relative_to(root)) if listed else "",
        without=("ann_file", *WITHOUT) if listed else WITHOUT,
    )


def _unread(place: Path, homes: dict[str, Path]) -> list[str]:
    """Return a note for each folder of a split that has images but no class folders."""
    if "all" in homes:
        return []
    left = [each for each in _folders(place) if each not in homes.values() and images_below(each)]
    return [f"`{each.name}/` has no folder for each class and is left out" for each in left]


def _remarks(splits: dict[str, Split], classes: tuple[str, ...]) -> list[str]:
    """Return notes on classes that are rare among the training images, or in no image of another split."""
    notes = []
    for name, split in splits.items():
        counts = Counter(sample.labels[0] for sample in split.samples)
        missing = [each for index, each in enumerate(classes) if not counts[index]]
        if missing and name not in ("train", "all"):
            notes.append(f"the split `{name}` has no image of {_listed(missing)}")
        least, most = (f(counts, key=counts.__getitem__, default=None) for f in (min, max))
        if name in ("train", "all") and least is not None and most is not None and counts[most] >= FEW * counts[least]:
            notes.append(f"`{classes[least]}` has {counts[least]} images, and `{classes[most]}` {counts[most]}")
    return notes


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{each}`" for each in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more classes"
