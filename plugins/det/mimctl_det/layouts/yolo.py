"""The YOLO layout: one text file per image with `class x y width height` lines (0..1), named in a data.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimctl.vision.folders.model import Found, Problem, Sample, Split, images_below

SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}


class YoloLayout:
    """`data.yaml` with `names`, or `images/` beside `labels/` with a `classes.txt`."""

    name = "yolo"

    def find(self, path: Path) -> Path | None:
        """Return the data.yaml, or the folder that has `images` and `labels`."""
        if path.is_file() and path.suffix in {".yaml", ".yml"}:
            return path
        for name in ("data.yaml", "data.yml", "dataset.yaml"):
            if (path / name).is_file():
                return path / name
        listed = [*path.glob("*.yaml"), *path.glob("*.yml")] if path.is_dir() else []
        if len(listed) == 1 and "names" in _load_yaml(listed[0]):
            return listed[0]
        has_labels = any((path / "labels").rglob("*.txt")) if (path / "labels").is_dir() else False
        return path if (path / "images").is_dir() and has_labels else None

    def read(self, place: Path) -> Found:
        """Read every label file of every split."""
        facts = _load_yaml(place) if place.is_file() else {}
        root = _root(place, facts)
        problems: list[Problem] = []
        notes: list[str] = []
        classes = _classes(place, root, facts)
        folders = _folders(place, root, facts, problems)
        splits: dict[str, Split] = {}
        largest = -1
        for name, images in folders.items():
            samples = []
            for image in images:
                labels = _read_labels(image, len(classes), problems, notes)
                largest = max([largest, *labels])
                samples.append(Sample(key=str(image.relative_to(root)), image=str(image), labels=tuple(labels)))
            splits[name] = Split(
                samples=tuple(samples),
                dataset_type="YOLODataset",
                data_root=str(root),
                ann_file="",
                data_prefix={"img": ""},
            )
        if not classes and largest >= 0:
            classes = tuple(f"class_{number}" for number in range(largest + 1))
            notes.append("no class names were found (data.yaml or classes.txt): they are numbered")
        return Found(layout=self.name, classes=classes, splits=splits, problems=tuple(problems), notes=tuple(notes))

    def write_subset(self, split: Split, whole: Split, stem: Path) -> str:
        """Write the images' paths relative to the data root, one a line."""
        path = stem.with_suffix(".txt")
        path.write_text("".join(f"{sample.key}\n" for sample in split.samples), encoding="utf-8")
        return str(path)


def label_path(image: Path) -> Path:
    """Return the label file of an image: the last `images` folder of its path becomes `labels`, the suffix `.txt`."""
    parts = list(image.parts)
    for number in range(len(parts) - 2, -1, -1):
        if parts[number] == "images":
            parts[number] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _load_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}


def _root(place: Path, facts: dict[str, Any]) -> Path:
    if place.is_dir():
        return place.resolve()
    named = Path(str(facts.get("path") or "."))
    root = (place.parent / named).resolve()
    return root if root.is_dir() else place.parent.resolve()


def _classes(place: Path, root: Path, facts: dict[str, Any]) -> tuple[str, ...]:
    names = facts.get("names")
    if isinstance(names, dict):
        return tuple(str(names[key]) for key in sorted(names, key=int))
    if isinstance(names, list):
        return tuple(str(name) for name in names)
    for listing in (root / "classes.txt", root / "labels" / "classes.txt", place.parent / "obj.names"):
        if listing.is_file():
            return tuple(line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip())
    return ()


def _folders(place: Path, root: Path, facts: dict[str, Any], problems: list[Problem]) -> dict[str, list[Path]]:
    """Return the images of each split: as data.yaml says, else by folder names, else all as one split."""
    found: dict[str, list[Path]] = {}
    for split, keys in SPLITS.items():
        value = next((facts[key] for key in keys if facts.get(key)), None)
        for entry in value if isinstance(value, list) else [value] if value else []:
            images = _images_of(root, place, str(entry))
            if images is None:
                problems.append(Problem(file=str(place), what=f"`{split}: {entry}` is no folder and no list of images"))
            else:
                found.setdefault(split, []).extend(images)
    if found or facts.get("train"):
        return found
    for split, names in SPLITS.items():
        for name in names:
            for folder in (root / "images" / name, root / name / "images"):
                if folder.is_dir():
                    found.setdefault(split, []).extend(images_below(folder))
    return found or {"all": images_below(root / "images")}


def _images_of(root: Path, place: Path, entry: str) -> list[Path] | None:
    # Exports often write `../train/images` relative to nowhere: the part after the dots is tried as well.
    for base in (root / entry, place.parent / entry, root / entry.lstrip("./")):
        path = base.resolve()
        if path.is_dir():
            return [image for image in images_below(path) if image.is_relative_to(root)]
        if path.is_file() and path.suffix == ".txt":
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
            return [(root / line).resolve() for line in lines if line]
    return None


def _read_labels(image: Path, num_classes: int, problems: list[Problem], notes: list[str]) -> list[int]:
    """Return the class of each box of an image; a missing label file means an image without objects."""
    if not image.is_file():
        problems.append(Problem(file=str(image), what="the image is missing"))
        return []
    path = label_path(image)
    if not path.is_file():
        return []
    labels = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        what = _mistake(line.split(), num_classes)
        if what:
            problems.append(Problem(file=str(path), line=number, what=what))
        else:
            labels.append(int(line.split()[0]))
    return labels


def _mistake(words: list[str], num_classes: int) -> str | None:
    try:
        label, numbers = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        return f"`{' '.join(words)[:60]}` is not `class x y width height`"
    if len(numbers) < 4 or (len(numbers) > 5 and len(numbers) % 2):
        return f"has {len(words)} numbers; a box has 5, a polygon an odd number of at least 7"
    if label < 0 or (num_classes and label >= num_classes):
        return f"class {label} of {num_classes}"
    if any(number < -0.01 or number > 1.01 for number in numbers[:4]):
        return f"coordinates must be 0..1 of the image, found {numbers[:4]}"
    return None
