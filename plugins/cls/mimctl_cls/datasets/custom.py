"""CustomDataset: images in one folder for each class, or listed with their labels in a text file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mimctl.engine.data.transform import Sample
from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import bad_annotations, list_from_file
from mimctl.engine.registry import DATASETS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import MimctlError
from mimctl_cls.datasets.base import BaseDataset

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@DATASETS.register_module()
class CustomDataset(BaseDataset):
    """Images below `data_prefix`: listed in `ann_file` (`path label` a line), else in a folder for each class.

    Without class names the folders' names, sorted, are the classes. Where every folder bears the name of a class that
    was given it means that class, whatever the order; else folders are numbered as they sort and there must be as many
    of them as classes. Without `with_label`, lines are paths alone, and folders mean nothing. Only files with one of
    the `extensions` count. Raises MimctlError[missing-file], [bad-annotations] with file and line, [class-mismatch],
    [empty-dataset].
    """

    def __init__(
        self,
        data_root: str = "",
        data_prefix: str | Mapping[str, str] = "",
        ann_file: str = "",
        with_label: bool = True,
        extensions: Sequence[str] = EXTENSIONS,
        metainfo: Mapping[str, Any] | None = None,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        if not (ann_file or data_prefix or data_root):
            raise MimctlError("the dataset needs `data_root`, `data_prefix` or `ann_file`", code="missing-argument")
        self.extensions = tuple({each.lower() for each in extensions})
        self.with_label = with_label
        self.folder_to_idx: dict[str, int] = {}
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix=data_prefix,
            lazy_init=lazy_init,
            **kwargs,
        )

    def load_data_list(self) -> list[Sample]:
        """Read the list or walk through the folders."""
        found = list(self._listed() if self.ann_file else self._walked())
        if not found:
            raise MimctlError(
                f"no image in {self.ann_file or self.img_prefix}",
                code="empty-dataset",
                causes=[f"files with one of these endings count: {', '.join(sorted(self.extensions))}"],
            )
        return found

    def is_valid_file(self, filename: str) -> bool:
        """Tell whether a file counts as an image, by its ending."""
        return filename.lower().endswith(self.extensions)

    def _listed(self) -> Iterator[Sample]:
        for number, line in enumerate(list_from_file(self.ann_file), start=1):
            if not line.strip():
                continue
            name, label = line.strip(), None
            if self.with_label:
                name, label = _label_of(line.strip(), f"{self.ann_file}:{number}")
                self.require_label(label, f"{self.ann_file}:{number}")
            yield self._sample(name, label)

    def _walked(self) -> Iterator[Sample]:
        if not self.with_label:
            for name in _entries(self.img_prefix):
                if self.is_valid_file(name):
                    yield self._sample(name, None)
            return
        self.folder_to_idx = self._folders()
        for folder, label in self.folder_to_idx.items():
            names = [each for each in _entries(fileio.join(self.img_prefix, folder)) if self.is_valid_file(each)]
            if not names:
                get_logger().warning("no image in the folder of the class `%s`, %s/%s", folder, self.img_prefix, folder)
            for name in names:
                yield self._sample(fileio.join(folder, name), label)

    def _folders(self) -> dict[str, int]:
        """Return folder → label, and take the folders' names for the classes where none were given."""
        folders = _entries(self.img_prefix, folders=True)
        classes = self.CLASSES
        if classes is None:
            self._metainfo["classes"] = tuple(folders)
        elif set(folders) <= set(classes):
            return {each: classes.index(each) for each in folders}
        elif len(folders) != len(classes):
            raise MimctlError(
                f"{self.img_prefix} has {len(folders)} folders, and there are {len(classes)} classes",
                code="class-mismatch",
                causes=[f"folders: {_shown(folders)}", f"classes: {_shown(classes)}"],
                hints=["name the folders as the classes, or let the folders name them: no `metainfo`"],
            )
        return {each: label for label, each in enumerate(folders)}

    def _sample(self, name: str, label: int | None) -> Sample:
        path = fileio.join(self.img_prefix, name)
        return {"img_path": path} if label is None else {"img_path": path, "gt_label": label}


def _entries(folder: str, *, folders: bool = False) -> list[str]:
    """Return the files below a folder, or the folders in it, sorted; names that begin with a dot are left out.

    Links are followed, and no folder is walked through twice.
    """
    found: list[str] = []
    seen: set[str] = set()
    for place, below, names in os.walk(folder, followlinks=True, onerror=_refuse):
        below[:] = [each for each in below if not each.startswith(".")]
        if folders:
            return sorted(below)
        seen.add(os.path.realpath(place))
        below[:] = [each for each in below if os.path.realpath(fileio.join(place, each)) not in seen]
        shown = (each for each in names if not each.startswith("."))
        found += [os.path.relpath(fileio.join(place, each), folder) for each in shown]
    return sorted(found)


def _refuse(err: OSError) -> None:
    if isinstance(err, FileNotFoundError | NotADirectoryError):
        raise fileio.missing_file(err.filename) from err
    raise MimctlError(f"the folder {err.filename} cannot be read", code="no-permission", causes=[str(err)]) from err


def _label_of(line: str, place: str) -> tuple[str, int]:
    name, _, label = line.rpartition(" ")
    if not name or not label.isdecimal():
        raise bad_annotations(
            place,
            f"a line is `path label`, not {line!r:.80}",
            hints=["labels are the numbers of classes, from 0; `with_label=False` reads paths alone"],
        )
    return name.strip(), int(label)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f", … ({len(names)})" if len(names) > 8 else "")
