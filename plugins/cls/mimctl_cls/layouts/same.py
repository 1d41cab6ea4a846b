"""Images that are there twice: in training and in another split, or in two classes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mimctl.vision.folders.model import Sample, Split

MOST_IMAGES = 50_000


def same_images(splits: dict[str, Split], classes: tuple[str, ...]) -> list[str]:
    """Return a note for each image that lies, byte for byte, in several splits or in several classes.

    Files are compared by size first. Of more than 50,000 images none is compared.
    """
    samples = [(name, sample) for name, split in splits.items() for sample in split.samples]
    if len(samples) > MOST_IMAGES:
        return []
    notes = []
    for group in _groups(samples):
        names = sorted({name for name, _ in group})
        labels = sorted({sample.labels[0] for _, sample in group})
        first, second = (str(Path(sample.image).relative_to(splits[name].data_root)) for name, sample in group[:2])
        if len(names) > 1:
            notes.append(f"the same image is in {' and '.join(f'`{each}`' for each in names)}: {first}, {second}")
        elif len(labels) > 1:
            shown = " and ".join(f"`{classes[each]}`" for each in labels)
            notes.append(f"the same image is in the classes {shown}: {first}, {second}")
    return notes


def _groups(samples: list[tuple[str, Sample]]) -> Iterator[list[tuple[str, Sample]]]:
    by_size: dict[int, list[tuple[str, Sample]]] = defaultdict(list)
    for name, sample in samples:
        path = Path(sample.image)
        if path.is_file():
            by_size[path.stat().st_size].append((name, sample))
    for like in by_size.values():
        if len(like) < 2:
            continue
        by_content: dict[bytes, list[tuple[str, Sample]]] = defaultdict(list)
        for name, sample in like:
            by_content[hashlib.sha256(Path(sample.image).read_bytes()).digest()].append((name, sample))
        yield from (group for group in by_content.values() if len(group) > 1)
