"""CocoMetric over two ranks equals CocoMetric in one process, padding of the last batch included."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mimctl.engine.ranks import distributed
from mimctl_det.evaluation import CocoMetric

SIZE = 5


def figures() -> dict[str, float]:
    """Evaluate this rank's share of five images; every object but that of image 0 is found."""
    metric = CocoMetric(metric=["bbox", "segm"])
    metric.dataset_meta = {"classes": ("a",)}
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    share = range(rank, -(-SIZE // ranks) * ranks, ranks)  # as DefaultSampler deals them, filled up from the start
    for number in (each % SIZE for each in share):
        edge = 20 + 8 * number
        shift = 300 if number == 0 else 0
        mask = torch.zeros(1, 400, 400, dtype=torch.bool)
        mask[:, shift : shift + edge, shift : shift + edge] = True
        sample = {
            "img_id": f"picture {number}",
            "ori_shape": (400, 400),
            "raw_instances": [
                {"bbox": [0, 0, edge, edge], "bbox_label": 0, "mask": [[0, 0, edge, 0, edge, edge, 0, edge]]}
            ],
            "pred_instances": {
                "bboxes": torch.tensor([[0.0, 0, edge, edge]]) + shift,
                "scores": torch.tensor([0.5]),
                "labels": torch.tensor([0]),
                "masks": mask,
            },
        }
        metric.process(None, [sample])
    return metric.evaluate(SIZE)


def main() -> None:
    distributed.init("pytorch")
    found = figures()
    Path(sys.argv[1]).with_suffix(f".{distributed.get_rank()}").write_text(json.dumps(found))
    distributed.shutdown()


@pytest.mark.timeout(120)
def test_two_ranks_give_the_figures_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    shared["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    ranks = [
        subprocess.Popen([sys.executable, __file__, str(tmp_path / "found.json")], env={**shared, "RANK": str(rank)})
        for rank in range(2)
    ]
    assert [each.wait(100) for each in ranks] == [0, 0]
    alone = figures()
    assert 0 < alone["coco/bbox_mAP"] < 1
    for rank in range(2):
        assert json.loads((tmp_path / f"found.{rank}").read_text()) == pytest.approx(alone)


if __name__ == "__main__":
    main()
