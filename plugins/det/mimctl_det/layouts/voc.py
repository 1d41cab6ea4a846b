"""The Pascal VOC layout: one XML file per image, split lists under ImageSets/Main."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from mimctl.vision.folders.model import IMAGE_SUFFIXES, Found, Problem, Sample, Split

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocLayout:
    """`Annotations/*.xml`, `JPEGImages/*`, `ImageSets/Main/*.txt`, in the folder itself or one or two below."""

    name = "voc"

    def find(self, path: Path) -> Path | None:
        """Return the folder that holds `Annotations` with XML files (VOCdevkit/VOC2007 is found from VOCdevkit)."""
        if not path.is_dir():
            return None
        for folder in [path, *sorted(path.glob("*/")), *sorted(path.glob("*/*/"))]:
            if any((folder / "Annotations").glob("*.xml")):
                return folder
        return path if any(path.glob("*.xml")) and not (path / "Annotations").is_dir() else None

    def read(self, place: Path) -> Found:
        """Read every XML file; splits come from ImageSets/Main, else all images are one split."""
        annotations = place / "Annotations" if (place / "Annotations").is_dir() else place
        pictures = place / "JPEGImages" if (place / "JPEGImages").is_dir() else place
        if not (place / "JPEGImages").is_dir() and (place / "images").is_dir():
            pictures = place / "images"
        by_stem = {path.stem: path for path in sorted(pictures.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES}
        problems: list[Problem] = []
        notes: list[str] = []
        names: dict[str, list[str]] = {}
        for path in sorted(annotations.glob("*.xml")):
            names[path.stem] = _read_objects(path, problems, notes)
            if path.stem not in by_stem:
                problems.append(Problem(file=str(path), what=f"its image {path.stem}.* is not in {pictures.name}/"))
        classes = tuple(sorted({name for each in names.values() for name in each}))
        suffixes = sorted({path.suffix for path in by_stem.values()})
        if len(suffixes) > 1:
            notes.append(f"images of {len(suffixes)} kinds: {', '.join(suffixes)}")

        def split(keys: list[str], ann_file: str) -> Split:
            index = {name: number for number, name in enumerate(classes)}
            return Split(
                samples=tuple(
                    Sample(
                        key=key,
                        image=str(by_stem.get(key, pictures / key)),
                        labels=tuple(index[name] for name in names.get(key, ())),
                    )
                    for key in keys
                ),
                dataset_type="XMLDataset",
                data_root=str(place),
                ann_file=ann_file,
                data_prefix={"sub_data_root": ""},
                extra={
                    "img_subdir": str(pictures.relative_to(place)),
                    "ann_subdir": str(annotations.relative_to(place)),
                },
            )

        splits = {}
        for name in ("train", "val", "test"):
            listing = place / "ImageSets" / "Main" / f"{name}.txt"
            if listing.is_file():
                keys = _read_keys(listing, names, by_stem, problems)
                splits[name] = split(keys, str(listing.relative_to(place)))
        if "train" not in splits:
            held = {sample.key for each in splits.values() for sample in each.samples}
            splits["all"] = split([key for key in names if key not in held and key in by_stem], "")
        return Found(layout=self.name, classes=classes, splits=splits, problems=tuple(problems), notes=tuple(notes))

    def write_subset(self, split: Split, whole: Split, stem: Path) -> str:
        """Write the names of these images, one a line."""
        path = stem.with_suffix(".txt")
        path.write_text("".join(f"{sample.key}\n" for sample in split.samples), encoding="utf-8")
        return str(path)


def _read_keys(
    listing: Path, names: dict[str, list[str]], by_stem: dict[str, Path], problems: list[Problem]
) -> list[str]:
    keys = []
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        key = line.split()[0]
        missing = [what for what, where in (("annotation", names), ("image", by_stem)) if key not in where]
        if missing:
            problems.append(Problem(file=str(listing), line=number, what=f"`{key}` has no {' and no '.join(missing)}"))
        else:
            keys.append(key)
    return keys


def _read_objects(path: Path, problems: list[Problem], notes: list[str]) -> list[str]:
    """Return the class name of each usable box of one XML file."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as err:
        problems.append(Problem(file=str(path), what=f"cannot be read as XML: {err}"))
        return []
    names = []
    for number, each in enumerate(root.iter("object"), start=1):
        name = (each.findtext("name") or "").strip()
        try:
            left, top, right, bottom = (float(each.findtext(f"bndbox/{corner}") or "") for corner in CORNERS)
        except ValueError:
            problems.append(Problem(file=str(path), what=f"object {number} has no box of four numbers"))
            continue
        if not name:
            problems.append(Problem(file=str(path), what=f"object {number} has no name"))
        elif right <= left or bottom <= top:
            notes.append(f"{path.name}: object {number} (`{name}`) has no area and is left out")
        else:
            names.append(name)
    return names
