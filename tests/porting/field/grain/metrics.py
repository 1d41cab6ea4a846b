"""How pure the sorted seeds are."""

from typing import Optional, Sequence

from mmengine.evaluator import BaseMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class Purity(BaseMetric):
    """Share of seeds in the right heap."""

    default_prefix: Optional[str] = "seeds"

    def process(self, data_batch: Sequence[dict], data_samples: Sequence) -> None:
        for sample in data_samples:
            item = sample["pred_label"]["item"] if isinstance(sample, dict) else sample.pred_label.item
            wanted = sample["gt_label"]["item"] if isinstance(sample, dict) else sample.gt_label.item
            self.results.append(int(item) == int(wanted))

    def compute_metrics(self, results: list) -> dict:
        return {"purity": sum(results) / len(results)}
