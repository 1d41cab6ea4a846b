"""MNIST's files in a folder: the training and the test files as published, or the test files alone."""

from __future__ import annotations

from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.vision.folders.model import Found, Problem, Sample, Split
from mimctl_cls import class_names
from mimctl_cls.idx import find_idx, read_idx

HELD = 0.2
FURTHER = {"holds_arrays": True}


class IdxLayout:
    """`train-…` and `t10k-…`; of `t10k-…` alone the last fifth validates. `fashion` in the path tells Fashion-MNIST."""

    name = "idx"

    def find(self, path: Path) -> Path | None:
        """Return the folder that holds pictures of one of the two stems, `raw/` and `MNIST/raw/` included."""
        places = (path, path / "raw", path / "MNIST" / "raw", path / "FashionMNIST" / "raw") if path.is_dir() else ()
        stems = ("t10k-images", "train-images")
        return next((each for each in places for stem in stems if find_idx(str(each), stem, 3) is not None), None)

    def read(self, place: Path) -> Found:
        """Count the pictures of every class."""
        is_fashion = "fashion" in str(place).lower()
        classes = class_names.FASHION_MNIST if is_fashion else class_names.MNIST
        kind = "FashionMNIST" if is_fashion else "MNIST"
        problems: list[Problem] = []
        labels = {stem: _labels(place, stem, len(classes), problems) for stem in ("train", "t10k")}
        splits, notes = {}, []
        if labels["train"]:
            splits["train"] = _split(place, kind, labels["train"], test_mode=False)
            if labels["t10k"]:
                splits["val"] = _split(place, kind, labels["t10k"], test_mode=True)
        source = "train" if labels["train"] else "t10k"
        if "val" not in splits and labels[source]:
            held = round(HELD * len(labels[source]))
            first, last = labels[source][:-held], labels[source][-held:]
            splits["train"] = _split(place, kind, first, test_mode=source == "t10k", indices=len(first))
            splits["val"] = _split(place, kind, last, test_mode=source == "t10k", indices=-len(last))
            notes.append(
                f"only `{source}-…` is there: its first {len(first)} pictures train, its last {len(last)} validate"
            )
        return Found(
            layout=self.name,
            classes=classes,
            splits=splits,
            problems=tuple(problems),
            notes=tuple(notes),
            further=FURTHER,
        )

    def write_subset(self, split: Split, whole: Split, stem: Path) -> str:
        """Refuse: parts of these files are named by number, in the config."""
        raise NotImplementedError("a part of IDX files is named by number")


def _labels(place: Path, stem: str, num_classes: int, problems: list[Problem]) -> list[int]:
    paths = [find_idx(str(place), f"{stem}-{kind}", size) for kind, size in (("images", 3), ("labels", 1))]
    if paths == [None, None]:
        return []
    if None in paths:
        problems.append(Problem(file=str(place), what=f"`{stem}-images` and `{stem}-labels` belong together"))
        return []
    try:
        pictures, labels = (read_idx(str(path), size) for path, size in zip(paths, (3, 1), strict=True))
    except MimctlError as err:
        problems.append(Problem(file=err.message.partition(": ")[0], what=err.message.partition(": ")[2]))
        return []
    if len(pictures) != len(labels):
        what = f"holds {len(labels)} labels for {len(pictures)} pictures"
        problems.append(Problem(file=str(paths[1]), what=what))
        return []
    if len(labels) and int(labels.max()) >= num_classes:
        problems.append(Problem(file=str(paths[1]), what=f"label {labels.max()} of {num_classes} classes"))
        return []
    return [int(each) for each in labels]


def _split(place: Path, kind: str, labels: list[int], *, test_mode: bool, indices: int | None = None) -> Split:
    return Split(
        samples=tuple(Sample(key=str(number), image="", labels=(label,)) for number, label in enumerate(labels)),
        dataset_type=kind,
        data_root=str(place),
        ann_file=None,
        data_prefix="",
        extra={"test_mode": test_mode, **({"indices": indices} if indices is not None else {})},
        without=(
            "ann_file",
            "split",
            "classes",
            "with_label",
            "extensions",
            *(() if indices is not None else ("indices",)),
        ),
    )
