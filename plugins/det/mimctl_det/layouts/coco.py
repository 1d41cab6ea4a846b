"""The COCO layout: one JSON file per split that lists images, annotations and categories."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from mimctl.vision.folders.model import Found, Problem, Sample, Split, split_of

KEYS = ("images", "annotations", "categories")


class CocoLayout:
    """`annotations/instances_train.json` beside image folders, or `train/_annotations.coco.json` among its images."""

    name = "coco"

    def find(self, path: Path) -> Path | None:
        """Return the folder if a JSON file at most two levels down has COCO's three keys."""
        return path if path.is_dir() and self._documents(path) else None

    def read(self, place: Path) -> Found:
        """Read every COCO file below `place`; splits are named by the file or its folder."""
        problems: list[Problem] = []
        splits: dict[str, Split] = {}
        classes: tuple[str, ...] = ()
        for path, document in self._documents(place):
            names = tuple(str(category["name"]) for category in _categories(document))
            if classes and names != classes:
                problems.append(
                    Problem(file=str(path), what=f"has other categories: {names[:5]} against {classes[:5]}")
                )
                continue
            classes = names
            split = split_of(path.stem) or split_of(path.parent.name) or "all"
            if split in splits:
                problems.append(Problem(file=str(path), what=f"a second annotation file for the split `{split}`"))
                continue
            splits[split] = self._read_split(place, path, document, split, problems)
        return Found(layout=self.name, classes=classes, splits=splits, problems=tuple(problems))

    def write_subset(self, split: Split, whole: Split, stem: Path) -> str:
        """Write a COCO file with only these images and their annotations."""
        document = json.loads((Path(whole.data_root) / (whole.ann_file or "")).read_text(encoding="utf-8"))
        keys = {sample.key for sample in split.samples}
        document["images"] = [image for image in document["images"] if str(image["id"]) in keys]
        document["annotations"] = [each for each in document["annotations"] if str(each["image_id"]) in keys]
        path = stem.with_suffix(".json")
        path.write_text(json.dumps(document), encoding="utf-8")
        return str(path)

    def _documents(self, folder: Path) -> list[tuple[Path, dict[str, Any]]]:
        found = []
        for path in sorted([*folder.glob("*.json"), *folder.glob("*/*.json"), *folder.glob("*/*/*.json")]):
            document = _load(path)
            if document is not None:
                found.append((path, document))
        instances = [each for each in found if not any(word in each[0].stem for word in ("caption", "keypoint"))]
        return instances or found

    def _read_split(
        self, root: Path, path: Path, document: dict[str, Any], split: str, problems: list[Problem]
    ) -> Split:
        index = {category["id"]: number for number, category in enumerate(_categories(document))}
        labels: dict[Any, list[int]] = defaultdict(list)
        image_ids = {image.get("id") for image in document["images"]}
        for each in document["annotations"]:
            what = _mistake(each, index, image_ids)
            if what:
                problems.append(Problem(file=str(path), what=f"annotation {each.get('id')}: {what}"))
            else:
                labels[each["image_id"]].append(index[each["category_id"]])
        folder = _image_folder(root, path, [str(image["file_name"]) for image in document["images"][:20]], split)
        samples = []
        for image in document["images"]:
            file = folder / str(image["file_name"])
            if not file.is_file():
                problems.append(Problem(file=str(file), what=f"the image is missing (listed in {path.name})"))
            samples.append(Sample(key=str(image["id"]), image=str(file), labels=tuple(labels[image["id"]])))
        doubled = [name for name, count in Counter(sample.image for sample in samples).items() if count > 1]
        problems.extend(Problem(file=name, what=f"listed twice in {path.name}") for name in doubled)
        return Split(
            samples=tuple(samples),
            dataset_type="CocoDataset",
            data_root=str(root),
            ann_file=str(path.relative_to(root)),
            data_prefix={"img": str(folder.relative_to(root)) if folder != root else ""},
        )


def _load(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in KEYS):
        return None
    return document


def _categories(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the categories in file order, without Roboflow's unused super-category at its head."""
    used = {each.get("category_id") for each in document["annotations"]}
    parents = {category.get("supercategory") for category in document["categories"]}
    return [
        category
        for category in document["categories"]
        if category["id"] in used or category["name"] not in parents or len(document["categories"]) == 1
    ]


def _mistake(annotation: dict[str, Any], index: dict[Any, int], image_ids: set[Any]) -> str | None:
    box = annotation.get("bbox")
    if annotation.get("category_id") not in index:
        return f"category {annotation.get('category_id')!r} is not among the categories"
    if annotation.get("image_id") not in image_ids:
        return f"image {annotation.get('image_id')!r} is not among the images"
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(number, int | float) for number in box):
        return f"`bbox` must be [x, y, width, height], found {box!r:.60}"
    return None


def _image_folder(root: Path, path: Path, names: list[str], split: str) -> Path:
    """Return the folder that holds the first listed images: the usual places first, then any folder of the tree."""
    stem_words = path.stem.replace("instances_", "")
    usual = [path.parent]
    for home in dict.fromkeys((path.parent.parent if path.parent != root else root, root)):
        usual += [home / stem_words, home / split, home / "images" / stem_words, home / "images" / split]
        usual += [home / "images", home]
    folders = [folder for folder in dict.fromkeys(usual) if folder.is_dir()]
    folders += sorted(folder for folder in root.glob("*/") if folder not in folders)
    hits = Counter({folder: sum((folder / name).is_file() for name in names) for folder in folders})
    best = max(folders, key=lambda folder: (hits[folder], -folders.index(folder)))
    return best if hits[best] else folders[0]
