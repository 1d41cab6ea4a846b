"""Data sets that were published as files of their own form, in two splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.errors import ConfigError, MimctlError
from mimctl_cls.datasets.base import BaseDataset
from mimctl_cls.datasets.imagenet import require_split

SPLITS = ("train", "test")


class PublishedDataset(BaseDataset):
    """A data set whose files lie in `data_prefix` below `data_root`; a subclass reads them for its `split`.

    `download` is accepted; a run fetches nothing. Raises ConfigError[missing-argument] where no place is named,
    [bad-argument] for an unknown split.
    """

    published_as: str | None = None
    """What `mimctl download --dataset` calls it."""

    def __init__(
        self,
        data_root: str = "",
        split: str = "train",
        metainfo: Mapping[str, Any] | None = None,
        download: bool = True,
        data_prefix: str = "",
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        require_split(split, SPLITS)
        if not data_root and not data_prefix:
            raise ConfigError("the dataset needs `data_root`: the folder of its files", code="missing-argument")
        self.split = split
        self.download = download
        super().__init__(
            ann_file="",
            metainfo=metainfo,
            data_root=data_root,
            data_prefix={"root": data_prefix},
            test_mode=test_mode,
            **kwargs,
        )

    def not_there(self, path: str) -> MimctlError:
        """Return the error for a file that is not where it was looked for."""
        hints = ["put the published files there, or name their folder: `data_root` (or `--data DIR`)"]
        if self.published_as is not None:
            folder = self.data_prefix["root"]
            hints.insert(0, f"fetch them: `mimctl download --dataset {self.published_as} --dest {folder}`")
        return MimctlError(
            f"no file {path}",
            code="missing-file",
            causes=[f"{type(self).__name__} was looked for there; a run fetches no data"],
            hints=hints,
        )
