"""What keeps scalars, pictures and the config of a run: the interface, and files of the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mimctl.engine.registry import VISBACKENDS
from mimctl.engine.reporting.events import plain


class BaseVisBackend:
    """A place for scalars, pictures and the config; a back end keeps what it can and drops the rest."""

    def __init__(self, save_dir: str | None = None) -> None:
        self.save_dir = Path(save_dir) if save_dir else None

    @property
    def experiment(self) -> Any:
        """Return what the back end writes with, for what its methods do not offer."""
        return self

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keep the config."""

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Keep the model's graph."""

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0, **kwargs: Any) -> None:
        """Keep a picture (H, W, 3), RGB, uint8."""

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Keep one number."""
        self.add_scalars({name: value}, step)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Keep several numbers of one step; `file_path` names another file for them, where there are files."""

    def close(self) -> None:
        """Write out what is left; what is added later opens the back end again."""


@VISBACKENDS.register_module()
class LocalVisBackend(BaseVisBackend):
    """Keep scalars as JSON lines, pictures as PNG files and the config as a Python file in `save_dir`."""

    def __init__(
        self,
        save_dir: str | None = None,
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        super().__init__(save_dir)
        self.img_save_dir = img_save_dir
        self.config_save_file = config_save_file
        self.scalar_save_file = scalar_save_file
        self._streams: dict[str, TextIO] = {}

    def add_config(self, config: Any, **kwargs: Any) -> None:
        if self.save_dir is not None and hasattr(config, "dump"):
            self.save_dir.mkdir(parents=True, exist_ok=True)
            config.dump(self.save_dir / self.config_save_file)

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0, **kwargs: Any) -> None:
        if self.save_dir is None:
            return
        from PIL import Image

        path = self.save_dir / self.img_save_dir / f"{name}_{step}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        if self.save_dir is None:
            return
        line = json.dumps(plain({**scalar_dict, "step": step})) + "\n"
        for name in dict.fromkeys([self.scalar_save_file, file_path or self.scalar_save_file]):
            stream = self._stream(name)
            stream.write(line)
            stream.flush()

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()

    def _stream(self, name: str) -> TextIO:
        if name not in self._streams:
            assert self.save_dir is not None
            self.save_dir.mkdir(parents=True, exist_ok=True)
            self._streams[name] = (self.save_dir / name).open("a", encoding="utf-8")
        return self._streams[name]
