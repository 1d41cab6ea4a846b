"""Where scalars and pictures of a run go: a visualizer hands them to its back ends."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mimctl.engine.ranks.distributed import is_main_process
from mimctl.engine.registry import VISBACKENDS, VISUALIZERS
from mimctl.engine.reporting.backends import BaseVisBackend
from mimctl.engine.reporting.canvas import Canvas

_CURRENT: contextvars.ContextVar[Callable[[], Visualizer] | None] = contextvars.ContextVar(
    "mimctl_visualizer", default=None
)


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
        if show:
            self.show(image, win_name=name, wait_time=wait_time)
        self.add_image(name, image, step)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Keep one number."""
        self._each("add_scalar", name, value, step, **kwargs)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Keep several numbers of one step."""
        self._each("add_scalars", scalar_dict, step, file_path, **kwargs)

    @staticmethod
    def draw_featmap(
        featmap: Tensor,
        overlaid_image: np.ndarray[Any, Any] | None = None,
        channel_reduction: str | None = "squeeze_mean",
        topk: int = 20,
        arrangement: tuple[int, int] = (4, 5),
        resize_shape: tuple[int, int] | None = None,
        alpha: float = 0.5,
    ) -> np.ndarray[Any, Any]:
        """Return a picture of a feature map (see `feature_picture`)."""
        from mimctl.engine.reporting.feature_picture import feature_picture

        options = {"topk": topk, "arrangement": arrangement, "resize_shape": resize_shape, "alpha": alpha}
        return feature_picture(featmap, overlaid_image, channel_reduction, **options)  # type: ignore[arg-type]

    def show(
        self,
        drawn_img: np.ndarray[Any, Any] | None = None,
        win_name: str = "image",
        wait_time: float = 0.0,
        continue_key: str = " ",
        backend: str = "cv2",
    ) -> None:
        """Show a picture (RGB; the drawn one by default) in a window until a key or for `wait_time` seconds.

        There is one way to show, by OpenCV, whatever `backend` says. ConfigError where no window can be opened.
        """
        from mimctl.engine.reporting.window import show_picture

        if is_main_process():
            show_picture(self.get_image() if drawn_img is None else drawn_img, win_name, wait_time, continue_key)

    def keep_picture(
        self,
        name: str,
        picture: np.ndarray[Any, Any],
        *,
        show: bool = False,
        wait_time: float = 0.0,
        out_file: str | Path | None = None,
        step: int = 0,
    ) -> None:
        """Keep a finished picture (H, W, 3), RGB, uint8: in `out_file`, in a window (`show`), else in the back ends."""
        if show:
            self.show(picture, name, wait_time)
        if out_file is not None:
            import cv2

            Path(out_file).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(out_file), picture[..., ::-1])
        elif not show:
            self.add_image(name, picture, step)

    def close(self) -> None:
        """Write out what is left."""
        self._each("close")

    def _each(self, method: str, *args: Any, **kwargs: Any) -> None:
        if is_main_process():
            for backend in self.vis_backends:
                getattr(backend, method)(*args, **kwargs)
