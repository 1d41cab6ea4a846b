"""What a scan of a folder yields: samples by split, classes, problems; one shape for all layouts and toolboxes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SPLIT_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in the data: the file, the 1-based line where there is one, and what is wrong."""

    file: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image: the key that its layout lists it by, its file ("" for none of its own), and its class indices.

    `labels` has one index for each object (a box, or the image itself).
    """

    key: str
    image: str
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The samples of one split and how a dataset reads them (`dataset_type`, `data_root`, `ann_file`, …).

    An `ann_file` of "" has yet to be written; None, as for `data_prefix`: the dataset takes no such argument.
    """

    samples: tuple[Sample, ...]
    dataset_type: str
    data_root: str
    ann_file: str | None
    data_prefix: dict[str, str] | str | None
    extra: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    """Arguments of a config's own dataset that mean nothing for this one."""

    def facts(self, classes: tuple[str, ...], objects: str | None = None) -> dict[str, Any]:
        """Return the split as plain data, with counts of images, of `objects` (a word) and of each class."""
        counts = Counter(label for sample in self.samples for label in sample.labels)
        return {
            "images": len(self.samples),
            "unlabelled": sum(not sample.labels for sample in self.samples),
            **({objects: counts.total()} if objects else {}),
            "per_class": {name: counts.get(index, 0) for index, name in enumerate(classes)},
            "dataset_type": self.dataset_type,
            "data_root": self.data_root,
            "ann_file": self.ann_file,
            "data_prefix": self.data_prefix,
            "extra": self.extra,
            "without": list(self.without),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found in a folder of one layout.

    `problems` are mistakes that stop a training, `notes` oddities that do not. A split named "all" is one that has
    yet to be divided. `further` joins the report as it is: what else a config has to know of the data.
    """

    layout: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    further: dict[str, Any] = field(default_factory=dict)


class Layout(Protocol):
    """One folder layout: tell whether a folder has it, read it, and write a list of some of its samples."""

    name: str

    def find(self, path: Path) -> Path | None:
        """Return the place to read from (a folder or a file) where `path` has this layout, else None."""

    def read(self, place: Path) -> Found:
        """Read every annotation below `place`."""

    def write_subset(self, split: Split, whole: Split, stem: Path) -> str:
        """Write what lists only the split's samples beside `stem` (outside the data) and return it as an `ann_file`.

        `whole` is what the layout read, of which the split is a part.
        """


def split_of(name: str) -> str | None:
    """Return the split that a file or folder name speaks of: `instances_train2017` → train."""
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    for split, spellings in SPLIT_WORDS.items():
        if any(word in spellings for word in words):
            return split
    return None


def divide(samples: tuple[Sample, ...], *, fraction: float, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Return (train, held): `fraction` of the samples, at least one, held out at random but reproducibly.

    The order of the files on disk does not matter. Where every sample has one label that share of each class is held
    out; each class that stands in two or more images keeps one in train.
    """
    ordered = sorted(samples, key=lambda sample: sample.key)
    shuffled = random.Random(seed).sample(ordered, len(ordered))
    if all(len(sample.labels) == 1 for sample in samples):
        held = _share_of_each_class(shuffled, fraction)
    else:
        held = shuffled[: min(max(1, round(fraction * len(shuffled))), len(shuffled) - 1)]
    keys = {sample.key for sample in held}
    train = [sample for sample in shuffled if sample.key not in keys]
    seen = {label for sample in train for label in sample.labels}
    for sample in list(held):
        if not seen.issuperset(sample.labels) and len(held) > 1:
            held.remove(sample)
            train.append(sample)
            seen.update(sample.labels)
    return tuple(train), tuple(held)


def _share_of_each_class(shuffled: list[Sample], fraction: float) -> list[Sample]:
    classes: dict[int, list[Sample]] = {}
    for sample in shuffled:
        classes.setdefault(sample.labels[0], []).append(sample)
    held = [
        sample
        for _, each in sorted(classes.items())
        for sample in each[: min(max(1, round(fraction * len(each))), len(each) - 1)]
    ]
    return held or shuffled[:1]


def subset(split: Split, samples: tuple[Sample, ...], ann_file: str) -> Split:
    """Return the split with only `samples`, listed by another annotation file."""
    return replace(split, samples=samples, ann_file=ann_file)


def unreadable(samples: tuple[Sample, ...], *, whole_below: int = 5000) -> list[Problem]:
    """Return a problem for each image that cannot be opened; up to `whole_below` images are decoded to their end."""
    from PIL import Image

    problems = []
    for sample in samples:
        if not Path(sample.image).is_file():
            continue  # reported as missing where it was listed
        try:
            with Image.open(sample.image) as image:
                if len(samples) <= whole_below:
                    image.draft("L", (1, 1))  # JPEG decodes at an eighth of its size
                    image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
            problems.append(Problem(file=sample.image, what=f"the image cannot be read: {err}"))
    return problems


def images_below(folder: Path) -> list[Path]:
    """Return all image files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
