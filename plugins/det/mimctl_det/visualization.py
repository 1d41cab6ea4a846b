"""Draw detections of a run: the visualizer that configs name, and the hook that calls it while testing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS, VISUALIZERS
from mimctl.engine.reporting.visualization import Visualizer
from mimctl.vision.drawing import draw_boxes


@VISUALIZERS.register_module()
class DetLocalVisualizer(Visualizer):
    """Draw boxes of ground truth (left) and prediction (right) side by side and hand the picture to the back ends."""

    def __init__(
        self,
        name: str = "visualizer",
        image: npt.NDArray[np.uint8] | None = None,
        vis_backends: Sequence[Any] | None = None,
        save_dir: str | None = None,
        bbox_color: Any = None,
        text_color: Any = None,
        mask_color: Any = None,
        line_width: float = 3,
        alpha: float = 0.8,
    ) -> None:
        del bbox_color, text_color, mask_color, line_width, alpha  # colours and widths follow the picture
        super().__init__(name=name, image=image, vis_backends=vis_backends, save_dir=save_dir)

    def add_datasample(
        self,
        name: str,
        image: npt.NDArray[np.uint8],
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | Path | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> npt.NDArray[np.uint8]:
        """Return the drawn picture and keep it: in `out_file`, in a window (`show`), else in the back ends.

        `image` is (H, W, 3) uint8 RGB; predictions below `pred_score_thr` (0..1) are left out.
        """
        halves = []
        if draw_gt and data_sample is not None and "gt_instances" in data_sample:
            halves.append(self._draw(image, data_sample.gt_instances))
        if draw_pred and data_sample is not None and "pred_instances" in data_sample:
            found = data_sample.pred_instances
            halves.append(self._draw(image, found[found.scores > pred_score_thr]))
        drawn = np.concatenate(halves or [image], axis=1)
        self.keep_picture(name, drawn, show=show, wait_time=wait_time, out_file=out_file, step=step)
        return drawn

    def _draw(self, image: npt.NDArray[np.uint8], instances: Any) -> npt.NDArray[np.uint8]:
        scores = instances.scores.tolist() if "scores" in instances else None
        classes = (self.dataset_meta or {}).get("classes", ())
        boxes = np.asarray(instances.bboxes.cpu(), np.float32).reshape(-1, 4)
        return draw_boxes(image, boxes, instances.labels.tolist(), scores=scores, classes=classes)


@HOOKS.register_module()
class DetVisualizationHook(Hook):
    """Write pictures of predictions while validating and testing, where `draw` is set (it is not by default)."""

    priority = "NORMAL"

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        del backend_args
        self.draw, self.interval, self.score_thr = draw or show, interval, score_thr
        self.show, self.wait_time, self.test_out_dir = show, wait_time, test_out_dir
        self._num_tested = 0

    @classmethod
    def drawing_into(cls, folder: str) -> dict[str, Any]:
        """Return the arguments with which the hook writes a picture of each prediction to a folder."""
        return {"draw": True, "test_out_dir": folder}

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw the first image of every `interval`-th batch."""
        if self.draw and outputs and batch_idx % self.interval == 0:
            self._add(runner, "val", outputs[0], step=runner.iter, out_file=None)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Draw every image."""
        for sample in outputs if self.draw and outputs else ():
            self._num_tested += 1
            out_file = None
            if self.test_out_dir is not None:
                out_file = Path(runner.work_dir) / self.test_out_dir / Path(sample.img_path).name
            self._add(runner, "test", sample, step=self._num_tested, out_file=out_file)

    def _add(self, runner: Any, phase: str, sample: Any, *, step: int, out_file: Path | None) -> None:
        image = cv2.imread(sample.img_path)[..., ::-1]
        if runner.visualizer.dataset_meta is None:
            loop = runner.test_loop if phase == "test" else runner.val_loop
            runner.visualizer.dataset_meta = loop.evaluator.dataset_meta
        runner.visualizer.add_datasample(
            f"{phase}_{Path(sample.img_path).stem}",
            image,
            sample,
            show=self.show,
            wait_time=self.wait_time,
            out_file=out_file,
            pred_score_thr=self.score_thr,
            step=step,
        )
