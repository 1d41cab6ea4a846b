"""Lists of `path label` lines, one a split: ImageNet's `meta/train.txt` beside `train/`, or `train.txt` at the top."""

from __future__ import annotations

from pathlib import Path

from mimctl.vision.folders.model import Found, Problem, Sample, Split
from mimctl_cls import class_names
from mimctl_cls.layouts.folders import DATASET, WITHOUT
from mimctl_cls.layouts.same import same_images

SPLITS = ("train", "val", "test")


class ListsLayout:
    """`meta/<split>.txt` or `<split>.txt`; paths are relative to `<split>/`, `images/` or the folder itself.

    `classes.txt` beside the lists names the classes, one a line; else a thousand of them are ImageNet's.
    """

    name = "lists"

    def find(self, path: Path) -> Path | None:
        """Return the folder whose training list begins with an image and a label."""
        listing = _listing(path, "train") if path.is_dir() else None
        if listing is None:
            return None
        first = next((line for line in _lines(listing) if line.strip()), "")
        name, _, label = first.strip().rpartition(" ")
        is_one = label.isdecimal() and any((home / name).is_file() for home in _homes(path, "train"))
        return path if is_one else None

    def read(self, place: Path) -> Found:
        """Read the lists of all splits."""
        problems: list[Problem] = []
        splits: dict[str, Split] = {}
        for split in SPLITS:
            listing = _listing(place, split)
            if listing is not None:
                read = _read(place, listing, split, problems)
                if read is not None:
                    splits[split] = read
        largest = max((sample.labels[0] for split in splits.values() for sample in split.samples), default=-1)
        classes, notes = _classes(place, largest + 1)
        if largest >= len(classes):
            problems.append(Problem(file=str(place), what=f"label {largest} of {len(classes)} named classes"))
        else:
            notes += same_images(splits, classes)
        return Found(layout=self.name, classes=classes, splits=splits, problems=tuple(problems), notes=tuple(notes))

    def write_subset(self, split: Split, whole: Split, stem: Path) -> str:
        """Write the lines of these images."""
        path = stem.with_suffix(".txt")
        path.write_text("".join(f"{each.key} {each.labels[0]}\n" for each in split.samples), encoding="utf-8")
        return str(path)


def _listing(place: Path, split: str) -> Path | None:
    paths = (place / "meta" / f"{split}.txt", place / f"{split}.txt")
    return next((path for path in paths if path.is_file()), None)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _homes(place: Path, split: str) -> list[Path]:
    return [each for each in (place / split, place / "images", place) if each.is_dir()]


def _read(place: Path, listing: Path, split: str, problems: list[Problem]) -> Split | None:
    """Return the split of one list, None where it has no labels (a test set without truth)."""
    pairs: list[tuple[int, str, str]] = []
    for number, line in enumerate(_lines(listing), start=1):
        name, _, label = line.strip().rpartition(" ")
        if line.strip():
            pairs.append((number, name.strip(), label))
    if split == "test" and not any(label.isdecimal() and name for _, name, label in pairs):
        return None
    homes = _homes(place, split)
    home = max(homes, key=lambda each: (sum((each / name).is_file() for _, name, _ in pairs[:20]), -homes.index(each)))
    samples = []
    for number, name, label in pairs:
        if not name or not label.isdecimal():
            problems.append(Problem(file=str(listing), line=number, what="a line is `path label`, label a number"))
            continue
        if not (home / name).is_file():
            problems.append(Problem(file=str(listing), line=number, what=f"there is no image {home / name}"))
        samples.append(Sample(key=name, image=str(home / name), labels=(int(label),)))
    return Split(
        samples=tuple(samples),
        dataset_type=DATASET,
        data_root=str(place),
        ann_file=str(listing.relative_to(place)),
        data_prefix=str(home.relative_to(place)) if home != place else "",
        without=WITHOUT,
    )


def _classes(place: Path, count: int) -> tuple[tuple[str, ...], list[str]]:
    for listing in (place / "meta" / "classes.txt", place / "classes.txt"):
        if listing.is_file():
            return tuple(line.strip() for line in _lines(listing) if line.strip()), []
    if count == 1000:
        return class_names.listed("imagenet"), []
    note = "no class names were found (classes.txt beside the lists): they are numbered"
    return tuple(f"class_{number}" for number in range(count)), [note]
