"""Where scalars and pictures of a run go: a visualizer hands them to its back ends."""

from __future__ import annotations

import contextlib
import contextvars
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mimctl.engine.canvas import Canvas
from mimctl.engine.distributed import is_main_process
from mimctl.engine.events import plain
from mimctl.engine.registry import VISBACKENDS, VISUALIZERS

_CURRENT: contextvars.ContextVar[Callable[[], Visualizer] | None] = contextvars.ContextVar(
    "mimctl_visualizer", default=None
)


class BaseVisBackend:
    """A place for scalars, pictures and the config; a back end keeps what it can and drops the rest."""

    def __init__(self, save_dir: str | None = None) -> None:
        self.save_dir = Path(save_dir) if save_dir else None

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
        """Keep several numbers of one step."""

    def close(self) -> None:
        """Write out what is left."""


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
        self._stream: TextIO | None = None

    def add_config(self, config: Any, **kwargs: Any) -> None:
        if self.save_dir is not None and hasattr(config, "dump"):
            self.save_dir.mkdir(parents=True, exist_ok=True)
            config.dump(self.save_dir / self.config_save_file)

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0, **kwargs: Any) -> None:
        if self.save_dir is None:
            return
        from PIL import Image

        folder = self.save_dir / self.img_save_dir
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{name}_{step}.png")

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        if self.save_dir is None:
            return
        if self._stream is None:
            self.save_dir.mkdir(parents=True, exist_ok=True)
            self._stream = (self.save_dir / self.scalar_save_file).open("a", encoding="utf-8")
        self._stream.write(json.dumps(plain({**scalar_dict, "step": step})) + "\n")
        self._stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@VISBACKENDS.register_module()
class TensorboardVisBackend(BaseVisBackend):
    """Hand scalars and pictures to TensorBoard (`pip install tensorboard`), imported at the first use."""

    def __init__(self, save_dir: str | None = None) -> None:
        super().__init__(save_dir)
        self._writer: Any = None

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0, **kwargs: Any) -> None:
        self._open().add_image(name, image, step, dataformats="HWC")

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        for name, value in plain(dict(scalar_dict)).items():
            if isinstance(value, (int, float)):
                self._open().add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.save_dir) if self.save_dir else None)
        return self._writer


@contextlib.contextmanager
def use_visualizer(make: Callable[[], Visualizer]) -> Iterator[None]:
    """Let `Visualizer.get_current_instance()` be what `make` returns while the block runs (this thread only)."""
    token = _CURRENT.set(make)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@VISUALIZERS.register_module()
class Visualizer(Canvas):
    """Hand scalars, pictures and the config to every back end, on the first rank alone.

    Toolboxes derive their own, which draw predictions (`add_datasample`).
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: np.ndarray[Any, Any] | None = None,
        vis_backends: Sequence[Mapping[str, Any] | BaseVisBackend] | None = None,
        save_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.name = name
        self.image = None
        if image is not None:
            self.set_image(image)
        self.dataset_meta: dict[str, Any] | None = None
        folder = str(Path(save_dir) / "vis_data") if save_dir else None
        self.vis_backends: list[BaseVisBackend] = [
            VISBACKENDS.build(each, save_dir=folder) for each in vis_backends or ()
        ]

    @classmethod
    def get_current_instance(cls) -> Visualizer:
        """Return the visualizer of the run that is in progress or being built here; a fresh one where there is none."""
        make = _CURRENT.get()
        return make() if make is not None else cls()

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> Visualizer:
        """Return a visualizer made of the arguments, or without any the current one; no table of names is kept."""
        return cls(name, **kwargs) if kwargs else cls.get_current_instance()

    def get_backend(self, name: str) -> BaseVisBackend:
        """Return the back end of that class name. KeyError where there is none."""
        return {type(each).__name__: each for each in self.vis_backends}[name]

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keep the config."""
        self._each("add_config", config, **kwargs)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Keep the model's graph, where a back end does that."""
        self._each("add_graph", model, data_batch, **kwargs)

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0) -> None:
        """Keep a picture (H, W, 3), RGB, uint8."""
        self._each("add_image", name, image, step)

    def add_datasample(
        self,
        name: str,
        image: np.ndarray[Any, Any],
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: int = 0,
        step: int = 0,
    ) -> None:
        """Keep the picture; a toolbox's visualizer draws what the sample holds on it first."""
        self.add_image(name, image, step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Keep one number."""
        self._each("add_scalar", name, value, step, **kwargs)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Keep several numbers of one step."""
        self._each("add_scalars", scalar_dict, step, file_path, **kwargs)

    def close(self) -> None:
        """Write out what is left."""
        self._each("close")

    def _each(self, method: str, *args: Any, **kwargs: Any) -> None:
        if is_main_process():
            for backend in self.vis_backends:
                getattr(backend, method)(*args, **kwargs)
