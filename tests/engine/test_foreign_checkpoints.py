"""Checkpoints that MMEngine wrote: read as weights and plain data, and gone on from."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_checkpoints import body as pickled
from foreign_checkpoints import call, openmmlab, write_old, write_openmmlab, write_zip
from torch import Tensor, nn
from torch.utils.data import Dataset

from mimctl.engine.checkpoints.checkpoint import read_checkpoint
from mimctl.engine.checkpoints.untrusted import Inert
from mimctl.engine.model import BaseModel
from mimctl.engine.runner import Runner
from mimctl.errors import MimctlError


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old-format"])
def test_weights_and_plain_data_of_mmengine_are_read(tmp_path: Path, zipped: bool) -> None:
    path = write_openmmlab(
        tmp_path / "a.pth", epoch=2, iteration=6, zipped=zipped, state_dict={"weight": torch.ones(2)}
    )
    loaded = read_checkpoint(path)
    assert torch.equal(loaded["state_dict"]["weight"], torch.ones(2))
    meta = loaded["meta"]
    assert (meta["epoch"], meta["iter"], meta["seed"], meta["cfg"]) == (2, 6, 3, "a = 1\n")
    assert meta["dataset_meta"]["classes"] == ("a", "b")
    assert meta["dataset_meta"]["sizes"].tolist() == [[1, 2], [3, 4]]
    assert meta["part"] == {"deep": {"best": 0.446}}
    hub = loaded["message_hub"]
    assert hub["log_scalars"] == {"train/loss": {"values": [0.0, 0.125, 0.25, 0.375], "counts": [1, 1, 1, 1]}}
    assert hub["runtime_info"] == {"epoch": 1, "eta": 0.5, "count": 7, "keep_ckpt_ids": [2]}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.arange(6, dtype=">i2").reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.asfortranarray(np.arange(6.0).reshape(2, 3)), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        (np.array([]), []),
        (np.array(["text"]), None),
        (np.array([{"an": "object"}]), None),
    ],
    ids=["float32", "bool", "big-endian", "fortran", "empty", "text", "objects"],
)
@pytest.mark.parametrize("old_numpy", [False, True], ids=["numpy 2", "numpy 1"])
def test_numpy_in_a_checkpoint_is_read_as_numbers(tmp_path: Path, value: Any, read: Any, old_numpy: bool) -> None:
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": value}, path)
    if old_numpy:
        import zipfile

        with zipfile.ZipFile(path) as archive:
            body, weight = archive.read("a/data.pkl"), archive.read("a/data/0")
        write_zip(path, body.replace(b"numpy._core", b"numpy.core"), {"data/0": weight})
    found = read_checkpoint(path)["meta"]
    assert (found.tolist() if isinstance(found, np.ndarray) else found) == read


def test_object_of_a_foreign_class_is_inert(tmp_path: Path) -> None:
    state = call("mmdet.structures.bbox.HorizontalBoxes", 1, 2) + pickle.EMPTY_DICT + pickle.BUILD
    found = read_checkpoint(write_zip(tmp_path / "a.pth", pickled(state)))["meta"]
    assert isinstance(found, Inert)
    assert (type(found).__module__, type(found).__name__, found.state) == (
        "mmdet.structures.bbox",
        "HorizontalBoxes",
        {},
    )


def test_shared_and_empty_parts_stay_what_they_are(tmp_path: Path) -> None:
    shared = [1, 2]
    with openmmlab() as foreign:
        content = {"state_dict": {"a": torch.ones(1)}, "meta": {"x": shared, "y": (shared, foreign["ConfigDict"]())}}
        torch.save(content, tmp_path / "a.pth")
    meta = read_checkpoint(tmp_path / "a.pth")["meta"]
    assert meta["x"] is meta["y"][0]
    assert meta["y"][1] == {}


def test_files_by_hand_are_read_where_nothing_is_wrong(tmp_path: Path) -> None:
    for path in (write_zip(tmp_path / "zip.pth", pickled(b"}")), write_old(tmp_path / "old.pth", pickled(b"}"))):
        assert read_checkpoint(path)["state_dict"]["weight"].tolist() == [0.0, 1.0, 2.0, 3.0]


# Going on from one


class Points(Dataset[Any]):
    """Twelve points of a line."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        value = torch.tensor([index / 12, 1.0])
        return {"inputs": value, "target": value.sum()}


class Line(BaseModel):
    """Two layers with a norm between them, as a training of its own uses them too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.last = nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)

    def loss(self, inputs: Tensor) -> Tensor:
        output = self.last(torch.relu(self.norm(self.first(inputs)))).squeeze(1)
        return ((output - inputs.sum(1)) ** 2).mean()

    def forward(self, inputs: Any, target: Any = None, data_samples: Any = None, mode: str = "tensor") -> Any:
        return {"loss_line": self.loss(torch.stack(list(inputs)))}


BATCHES = [torch.stack([Points()[index]["inputs"] for index in range(at, at + 4)]) for at in (0, 4, 8)]
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"type": "SGD", "lr": 0.05, "momentum": 0.9},
    "adamw": {"type": "AdamW", "lr": 0.05, "weight_decay": 0.1},
}


def groups_of(model: nn.Module, each_alone: bool) -> list[dict[str, Any]]:
    """Return parameter groups as MMEngine makes them: one for all, or one for each with its own options."""
    if not each_alone:
        return [{"params": list(model.parameters())}]
    return [
        {"params": [param], **({"lr": 0.005} if name.startswith("last") else {})}
        for name, param in model.named_parameters()
    ]


def train_by_hand(model: Line, optimizer: torch.optim.Optimizer, epochs: int, path: Path | None = None) -> None:
    """Train in a bare loop; write the state as MMEngine does behind the second epoch."""
    for epoch in range(epochs):
        for batch in BATCHES:
            optimizer.zero_grad()
            model.loss(batch).backward()
            optimizer.step()
        if epoch == 1 and path is not None:
            state = {key: value.clone() for key, value in model.state_dict().items()}
            write_openmmlab(path, epoch=2, iteration=6, state_dict=state, optimizer=optimizer.state_dict(),
                            param_schedulers=[])  # fmt: skip


def resumed(path: Path, work_dir: Path, **wrapper: Any) -> Runner:
    runner = Runner(
        model=Line(),
        work_dir=work_dir,
        train_dataloader={"dataset": Points(), "sampler": {"type": "DefaultSampler", "shuffle": False},
                          "batch_size": 4, "num_workers": 0},
        train_cfg={"by_epoch": True, "max_epochs": 4},
        optim_wrapper={"type": "OptimWrapper", **wrapper},
        default_hooks={"checkpoint": None},
        resume=str(path),
    )  # fmt: skip
    runner.train()
    return runner


@pytest.mark.parametrize("each_alone", [False, True], ids=["one group", "a group for each parameter"])
@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_optimizer_of_mmengine_goes_on_bit_for_bit(tmp_path: Path, kind: str, each_alone: bool) -> None:
    options = dict(OPTIMIZERS[kind])
    model = Line()
    optimizer = getattr(torch.optim, options.pop("type"))(groups_of(model, each_alone), **options)
    train_by_hand(model, optimizer, 4, tmp_path / "epoch_2.pth")
    wrapper: dict[str, Any] = {"optimizer": OPTIMIZERS[kind]}
    if each_alone:
        wrapper["paramwise_cfg"] = {"custom_keys": {"last": {"lr_mult": 0.1}}}
    runner = resumed(tmp_path / "epoch_2.pth", tmp_path / "run", **wrapper)
    assert (runner.epoch, runner.iter) == (4, 12)
    for key, value in model.state_dict().items():
        assert torch.equal(value, runner.bare_model.state_dict()[key]), key


@pytest.mark.parametrize(
    ("wrapper", "reason"),
    [
        ({"optimizer": OPTIMIZERS["adamw"]}, "its groups have no `betas`, which AdamW needs"),
        (
            {
                "optimizer": {**OPTIMIZERS["sgd"], "weight_decay": 0.1},
                "paramwise_cfg": {"norm_decay_mult": 0.5, "custom_keys": {"last": {}}},
            },
            "it was saved with 1 parameter group",
        ),
    ],
    ids=["kind", "groups"],
)
def test_state_of_another_optimizer_is_refused(tmp_path: Path, wrapper: dict[str, Any], reason: str) -> None:
    model = Line()
    path = tmp_path / "epoch_2.pth"
    train_by_hand(model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), 2, path)
    with pytest.raises(MimctlError) as caught:
        resumed(path, tmp_path / "run", **wrapper)
    assert caught.value.code == "optimizer-mismatch"
    assert reason in caught.value.causes[0]
