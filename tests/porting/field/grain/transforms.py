"""From a file to what the model takes."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms import TRANSFORMS
from mmengine.structures import BaseDataElement, LabelData


@TRANSFORMS.register_module()
class BrightenSeed(BaseTransform):
    """Load a seed and make it a little brighter or darker."""

    def __init__(self, delta: float = 0.05) -> None:
        self.delta = delta

    def transform(self, results: dict) -> dict:
        image = np.load(results["img_path"])
        results["img"] = image + np.random.uniform(-self.delta, self.delta)
        return results


@TRANSFORMS.register_module()
class PackSeed(BaseTransform):
    """Make tensors of image and label."""

    def transform(self, results: dict) -> dict:
        sample = BaseDataElement(metainfo={"img_path": results["img_path"]})
        sample.gt_label = LabelData(item=torch.tensor([results["gt_label"]]))
        return {"inputs": torch.from_numpy(results["img"]).float(), "data_samples": sample}
