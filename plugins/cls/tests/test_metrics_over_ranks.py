"""Metrics over two ranks equal those of one process, padding of the last batch included."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mimctl.engine.evaluation import Evaluator
from mimctl.engine.ranks import distributed
from mimctl_cls.evaluation import Accuracy, AveragePrecision, ConfusionMatrix, MultiLabelMetric, SingleLabelMetric
from mimctl_cls.structures import DataSample

SIZE, CLASSES = 7, 4


def figures() -> dict[str, Any]:
    """Evaluate this rank's share of seven samples."""
    scores = torch.rand(SIZE, CLASSES, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(SIZE) % 3  # the last class is in no sample
    evaluator = Evaluator(
        [
            Accuracy(topk=(1, 2)),
            SingleLabelMetric(average=None),
            ConfusionMatrix(),
            MultiLabelMetric(),
            AveragePrecision(),
        ]
    )
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    share = range(rank, -(-SIZE // ranks) * ranks, ranks)  # as DefaultSampler deals them, filled up from the start
    for number in (each % SIZE for each in share):
        evaluator.process([DataSample().set_pred_score(scores[number]).set_gt_label(labels[number])])
    return evaluator.evaluate(SIZE)


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
    assert sum(map(sum, alone["confusion_matrix/result"])) == SIZE
    for rank in range(2):
        found = json.loads((tmp_path / f"found.{rank}").read_text())
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            assert found[name] == (value if name == "confusion_matrix/result" else pytest.approx(value))


if __name__ == "__main__":
    main()
