"""Seeds as arrays beside a JSON file of labels."""

import mmengine
import mmengine.fileio as fileio
from mmengine.dataset import BaseDataset

from .registry import DATASETS


@DATASETS.register_module()
class SeedDataset(BaseDataset):
    """`{"seeds": [{"file": …, "label": …}]}`"""

    METAINFO = {"classes": ("dark", "light")}

    def load_data_list(self):
        seeds = mmengine.load(self.ann_file)["seeds"]
        known = {path for path in fileio.list_dir_or_file(self.data_prefix["img_path"], list_dir=False)}
        return [
            {"img_path": fileio.join_path(self.data_prefix["img_path"], seed["file"]), "gt_label": seed["label"]}
            for seed in seeds
            if seed["file"] in known
        ]
