"""Draw classified images of a run: the visualizer that configs name, and the hook that calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS, VISUALIZERS
from mimctl.engine.reporting.visualization import Visualizer

Picture = npt.NDArray[np.uint8]
LEGIBLE = 160
"""The least short edge, in pixels, of a picture on which a text can be read."""


@VISUALIZERS.register_module()
class UniversalVisualizer(Visualizer):
    """Write true and predicted classes into the picture's corner and hand it to the back ends."""

    def visualize_cls(
        self,
        image: Picture,
        data_sample: Any,
        classes: Sequence[str] | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_score: bool = True,
        resize: int | None = None,
        rescale_factor: float | None = None,
        text_cfg: Mapping[str, Any] = {},
        show: bool = False,
        wait_time: float = 0,
        out_file: str | Path | None = None,
        name: str = "",
        step: int = 0,
    ) -> Picture:
        """Return the drawn picture and keep it: in `out_file`, in a window (`show`), else in the back ends.

        `image` is (H, W, 3) uint8 RGB; its short edge becomes `resize` pixels, or both are multiplied by
        `rescale_factor`; without either a tiny one is enlarged until the text can be read. `text_cfg` are arguments of
        `draw_texts`.
        """
        names = classes if classes is not None else (self.dataset_meta or {}).get("classes")
        lines = []
        if draw_gt and "gt_label" in data_sample:
            lines.append(f"Ground truth: {'; '.join(_named(each, names) for each in data_sample.gt_label.tolist())}")
        if draw_pred and "pred_label" in data_sample:
            scores = data_sample.pred_score if draw_score and "pred_score" in data_sample else None
            lines.append(
                f"Prediction: {'; '.join(_named(each, names, scores) for each in data_sample.pred_label.tolist())}"
            )
        drawn = self.draw_lines_of_text(_resized(image, resize, rescale_factor), lines, **text_cfg)
        self.keep_picture(name, drawn, show=show, wait_time=wait_time, out_file=out_file, step=step)
        return drawn

    def draw_lines_of_text(self, image: Picture, lines: Sequence[str], **text_cfg: Any) -> Picture:
        """Return the (H, W, 3) RGB picture with lines of text in its corner, white on a dark ground."""
        self.set_image(image)
        margin = max(3, min(image.shape[:2]) // 40)
        looks = {"colors": "w", "bboxes": {"facecolor": "k", "alpha": 0.6}, **text_cfg}
        if lines:
            self.draw_texts("\n".join(lines), np.array([margin, margin]), **looks)
        return self.get_image()

    def add_datasample(self, name: str, image: Picture, data_sample: Any = None, **kwargs: Any) -> Picture:  # type: ignore[override]
        """Do what `visualize_cls` does."""
        return self.visualize_cls(image, data_sample, name=name, **kwargs)


@HOOKS.register_module()
class VisualizationHook(Hook):
    """Draw every `interval`-th image while validating and testing, where `enable` is set (it is not by default).

    Pictures go to `out_dir`, or to the visualizer's back ends. Further arguments are those of `visualize_cls`.
    """

    priority = "NORMAL"

    def __init__(
        self,
        enable: bool = False,
        interval: int = 5000,
        show: bool = False,
        out_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.enable, self.interval, self.out_dir = enable, interval, out_dir
        self.draw_args = {**kwargs, "show": show}
        self._seen = 0

    @classmethod
    def drawing_into(cls, folder: str) -> dict[str, Any]:
        """Return the arguments with which the hook writes a picture of each prediction to a folder."""
        return {"enable": True, "interval": 1, "out_dir": folder}

    def before_val_epoch(self, runner: Any) -> None:
        """Count images anew."""
        self._seen = 0

    def before_test_epoch(self, runner: Any) -> None:
        """Count images anew."""
        self._seen = 0

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw images of a validation batch; the back ends keep them under the epoch."""
        self._draw(runner, runner.val_loop, data_batch, outputs or (), step=runner.epoch)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw images of a test batch."""
        self._draw(runner, runner.test_loop, data_batch, outputs or (), step=None)

    def _draw(self, runner: Any, loop: Any, data_batch: Any, outputs: Sequence[Any], *, step: int | None) -> None:
        for place, sample in enumerate(outputs if self.enable else ()):
            number, self._seen = self._seen, self._seen + 1
            if number % self.interval:
                continue
            path = sample.get("img_path")
            name = Path(path).name if path else str(number)
            out_file = None
            if self.out_dir is not None:
                out_file = Path(runner.work_dir) / self.out_dir / f"{name}_{number if step is None else step}.png"
            runner.visualizer.visualize_cls(
                _picture(path, data_batch["inputs"][place]),
                sample,
                classes=(loop.evaluator.dataset_meta or {}).get("classes"),
                name=name,
                out_file=out_file,
                step=number if step is None else step,
                **self.draw_args,
            )


def _named(label: int, classes: Sequence[str] | None, scores: Any = None) -> str:
    share = "" if scores is None else f", {float(scores[label]):.2f}"
    return f"{label}{share}" + (f" ({classes[label]})" if classes is not None and label < len(classes) else "")


def enlarged(image: Picture) -> Picture:
    """Return the picture by a whole factor so large that a text on it can be read."""
    short = min(image.shape[:2])
    return image if short >= LEGIBLE else _scaled(image, -(-LEGIBLE // short), cv2.INTER_NEAREST)


def _resized(image: Picture, edge: int | None, factor: float | None) -> Picture:
    if edge is not None:
        return _scaled(image, edge / min(image.shape[:2]), cv2.INTER_LINEAR)
    return enlarged(image) if factor is None else _scaled(image, factor, cv2.INTER_LINEAR)


def _scaled(image: Picture, factor: float, how: int) -> Picture:
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _picture(path: str | None, inputs: Any) -> Picture:
    """Return the RGB picture of a file, else what the model was given."""
    image = cv2.imread(path) if path else None
    if image is None:
        image = np.ascontiguousarray(inputs.permute(1, 2, 0).cpu().numpy().astype(np.uint8))
        image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    return np.ascontiguousarray(image[..., ::-1])
