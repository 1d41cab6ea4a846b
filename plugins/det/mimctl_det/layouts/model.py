"""What a scan of a folder yields: samples by split, classes, problems; one shape for all layouts."""

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
    """One image: the key that its layout lists it by, its file, and the class index of each of its boxes."""

    key: str
    image: str
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The samples of one split and how a dataset reads them (`dataset_type`, `data_root`, `ann_file`, …)."""

    samples: tuple[Sample, ...]
    dataset_type: str
    data_root: str
    ann_file: str
    data_prefix: dict[str, str]
    extra: dict[str, Any] = field(default_factory=dict)

    def facts(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Return the split as plain data, with counts of images, boxes and boxes of each class."""
        counts = Counter(label for sample in self.samples for label in sample.labels)
        return {
            "images": len(self.samples),
            "unlabelled": sum(not sample.labels for sample in self.samples),
            "boxes": counts.total(),
            "per_class": {name: counts.get(index, 0) for index, name in enumerate(classes)},
            "dataset_type": self.dataset_type,
            "data_root": self.data_root,
            "ann_file": self.ann_file,
            "data_prefix": self.data_prefix,
            "extra": self.extra,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was found in a folder of one layout.

    `problems` are mistakes that stop a training, `notes` oddities that do not. A split named "all" is one that has
    yet to be divided.
    """

    layout: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


class Layout(Protocol):
    """One folder layout: tell whether a folder has it, read it, and write a list of some of its samples."""

    name: str

    def find(self, path: Path) -> Path | None:
        """Return the place to read from (a folder or a file) where `path` has this layout, else None."""

    def read(self, place: Path) -> Found:
        """Read every annotation below `place`."""

    def write_subset(self, split: Split, samples: tuple[Sample, ...], stem: Path) -> str:
        """Write what lists only `samples` beside `stem` (outside the data) and return it as an `ann_file`."""


def split_of(name: str) -> str | None:
    """Return the split that a file or folder name speaks of: `instances_train2017` → train."""
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    for split, spellings in SPLIT_WORDS.items():
        if any(word in spellings for word in words):
            return split
    return None


def divide(samples: tuple[Sample, ...], *, fraction: float, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Return (train, held): `fraction` of the samples, at least one, held out at random but reproducibly.

    The order of the files on disk does not matter. Each class that stands in two or more images keeps one in train.
    """
    ordered = sorted(samples, key=lambda sample: sample.key)
    shuffled = random.Random(seed).sample(ordered, len(ordered))
    size = min(max(1, round(fraction * len(shuffled))), len(shuffled) - 1)
    held, train = shuffled[:size], shuffled[size:]
    seen = {label for sample in train for label in sample.labels}
    for sample in list(held):
        if not seen.issuperset(sample.labels) and len(held) > 1:
            held.remove(sample)
            train.append(sample)
            seen.update(sample.labels)
    return tuple(train), tuple(held)


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
