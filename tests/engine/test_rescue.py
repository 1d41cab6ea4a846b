"""A training that fails leaves a checkpoint of where it was; resumed from it, it is the uninterrupted one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mimctl.engine.data import BaseDataset, BaseTransform, pseudo_collate
from mimctl.engine.hooks import Hook
from mimctl.engine.model import BaseModel
from mimctl.engine.runner import Runner
from mimctl.errors import MimctlError

MakeRunner = Callable[..., Runner]
BY_ITERATION = {"by_epoch": False, "max_iters": 9, "val_interval": 3}


class Noise(BaseTransform):
    """Make a sample that is different each time, unless it is seeded; fail at a position of an epoch."""

    bad: tuple[int, int] | None = None

    def transform(self, results: dict[str, Any]) -> dict[str, Tensor]:
        value = torch.tensor([float(results["at"]), 1.0]) + torch.rand(2)
        if self.bad is not None and results["at"] == self.bad[1] and Failing.epoch == self.bad[0]:
            raise MimctlError("a.jpg is not a readable image", code="unreadable-image")
        return {"inputs": value, "target": value.sum()}


class Lines(BaseDataset):
    """Twelve samples with noise."""

    def __init__(self, bad: tuple[int, int] | None = None) -> None:
        noise = Noise()
        noise.bad = bad
        super().__init__(pipeline=[noise])

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"at": at} for at in range(12)]


class Model(BaseModel):
    """A model with all that changes in a forward pass; it fails in its n-th."""

    fails_at: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop, self.last = nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1)
        self.seen = 0

    def forward(self, inputs: Any, target: Any = None, data_samples: Any = None, mode: str = "tensor") -> Any:
        output = self.last(self.drop(self.norm(self.first(torch.stack(list(inputs)))))).squeeze(1)
        if mode != "loss":
            return [{"output": float(value)} for value in output]
        self.seen += 1
        if self.seen == self.fails_at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return {"loss_line": ((output - torch.stack(list(target))) ** 2).mean()}


class Failing(Hook):
    """Fail at a point, the n-th time that it comes."""

    epoch = 0

    def __init__(self, point: str = "", at: int = 0, error: type[BaseException] = ValueError) -> None:
        self.left, self.error = at, error
        self.losses: list[float] = []
        if point:
            setattr(self, point, self._fail)

    def _fail(self, runner: Runner, **_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error("a mistake of the user's")


class Watch(Hook):
    """Record the losses, and which epoch it is."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def before_train_epoch(self, runner: Runner) -> None:
        Failing.epoch = runner.epoch + 1

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses[runner.iter] = outputs["loss"].item()


def failing_at(point: str, at: int, error: type[BaseException] = ValueError) -> Hook:
    """Return a hook of a class that acts at one point alone."""
    kind = type("Failing", (Failing,), {point: Failing._fail})
    return kind(at=at, error=error)  # type: ignore[no-any-return]


def run(make_runner: MakeRunner, work_dir: Path, *hooks: Hook, **options: Any) -> tuple[Runner, dict[int, float]]:
    watch = Watch()
    ema = {"type": "EMAHook", "ema_type": "ExponentialMovingAverage", "momentum": 0.1, "update_buffers": True}
    data = {"dataset": options.pop("dataset", Lines()), "sampler": {"type": "DefaultSampler", "shuffle": True},
            "batch_size": 4, "num_workers": options.pop("num_workers", 0)}  # fmt: skip
    runner = make_runner(
        work_dir=work_dir,
        **{"model": Model, "train_dataloader": data, "custom_hooks": [*hooks, ema, watch],
           "default_hooks": {"checkpoint": {"interval": 100, "save_last": False}}, **options},
    )  # fmt: skip
    try:
        runner.train()
    except (ValueError, KeyboardInterrupt, torch.OutOfMemoryError, MimctlError) as err:
        runner.error = err  # type: ignore[attr-defined]
    return runner, watch.losses


def assert_same(make_runner: MakeRunner, folder: Path, first: dict[int, float], **options: Any) -> None:
    """Resume the run in `folder` and hold all of it against one that never failed."""
    whole, losses = run(make_runner, folder.with_name("whole"), **options)
    second, rest = run(make_runner, folder, resume=True, randomness={"seed": 99}, **options)
    assert {**first, **rest} == losses
    assert set(first) & set(rest) == set(), "nothing is done twice"
    for key, value in whole.bare_model.state_dict().items():
        assert torch.equal(value, second.bare_model.state_dict()[key]), key
    assert whole.optim_wrapper.get_lr() == second.optim_wrapper.get_lr()


@pytest.mark.parametrize("loop", [{}, {"train_cfg": BY_ITERATION}], ids=["by epoch", "by iteration"])
@pytest.mark.parametrize(
    ("point", "at", "iteration"),
    [
        ("before_train_iter", 5, 4),
        ("before_train_iter", 4, 3),
        ("after_train_iter", 5, 5),
        ("after_train_iter", 3, 3),
        ("before_val_epoch", 1, 3),
        ("after_val_iter", 1, 3),
        ("after_val_epoch", 2, 6),
    ],
)
def test_training_goes_on_exactly_from_where_a_hook_failed(
    make_runner: MakeRunner, tmp_path: Path, loop: dict[str, Any], point: str, at: int, iteration: int
) -> None:
    runner, first = run(make_runner, tmp_path / "parts", failing_at(point, at), **loop)
    assert (tmp_path / "parts" / "last_checkpoint").read_text() == str(tmp_path / "parts" / "interrupted.pth")
    meta = torch.load(tmp_path / "parts" / "interrupted.pth", weights_only=True)["meta"]
    assert meta["iter"] == iteration
    [note] = runner.error.__notes__  # type: ignore[attr-defined]
    assert f"the state after iteration {iteration} was saved" in note
    assert_same(make_runner, tmp_path / "parts", first, **loop)


def test_training_goes_on_exactly_from_the_end_of_an_epoch(make_runner: MakeRunner, tmp_path: Path) -> None:
    for point in ("after_train_epoch", "before_train_epoch"):
        runner, first = run(make_runner, tmp_path / point / "parts", failing_at(point, 2))
        assert runner.iter == (6 if point == "after_train_epoch" else 3)
        assert_same(make_runner, tmp_path / point / "parts", first)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_image_that_cannot_be_read_at_a_later_epoch_costs_nothing(
    make_runner: MakeRunner, tmp_path: Path, num_workers: int
) -> None:
    runner, first = run(make_runner, tmp_path / "parts", dataset=Lines(bad=(2, 7)), num_workers=num_workers,
                        train_cfg={"by_epoch": True, "max_epochs": 3})  # fmt: skip
    error = runner.error  # type: ignore[attr-defined]
    assert (error.code, error.message) == ("unreadable-image", "a.jpg is not a readable image")
    assert runner.epoch == 1
    assert_same(make_runner, tmp_path / "parts", first, num_workers=num_workers)


def test_failure_inside_a_step_is_kept_aside(make_runner: MakeRunner, tmp_path: Path) -> None:
    model = Model()
    model.fails_at = 5
    runner, _ = run(make_runner, tmp_path, model=model)
    assert (tmp_path / "failed.pth").exists()
    assert not (tmp_path / "last_checkpoint").exists(), "`--resume` does not take it for what it is not"
    [note] = runner.error.__notes__  # type: ignore[attr-defined]
    assert "the state inside iteration 5" in note
    assert f"`--resume {tmp_path / 'failed.pth'}`" in note
    _, rest = run(make_runner, tmp_path, resume=str(tmp_path / "failed.pth"))
    assert min(rest) == 4


class Plain(torch.utils.data.Dataset[Any]):
    """Samples that draw from the generators of the process that loads them."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        value = torch.rand(2)
        return {"inputs": value, "target": value.sum()}


def test_plain_data_set_goes_on_exactly_too(make_runner: MakeRunner, tmp_path: Path) -> None:
    _, first = run(make_runner, tmp_path / "parts", failing_at("before_train_iter", 5), dataset=Plain())
    assert_same(make_runner, tmp_path / "parts", first, dataset=Plain())


def test_data_that_would_be_drawn_anew_is_kept_aside_too(make_runner: MakeRunner, tmp_path: Path) -> None:
    loader = DataLoader(Plain(), batch_size=4, shuffle=True, collate_fn=pseudo_collate)
    run(make_runner, tmp_path, failing_at("before_train_iter", 5), train_dataloader=loader)
    assert (tmp_path / "failed.pth").exists()
    assert not (tmp_path / "interrupted.pth").exists()


class Poison(Hook):
    """Let the loss be nan from an iteration on."""

    priority = "HIGHEST"

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter == 3:
            outputs["loss_line"] = torch.tensor(float("nan"))


@pytest.mark.parametrize("point", ["before_train_iter", "after_train_iter"])
def test_nothing_is_saved_once_the_loss_is_no_number(make_runner: MakeRunner, tmp_path: Path, point: str) -> None:
    logger = {"type": "LoggerHook", "interval": 100}
    runner, _ = run(make_runner, tmp_path, failing_at(point, 6), Poison(),
                    default_hooks={"logger": logger, "checkpoint": None}, val_dataloader=None)  # fmt: skip
    assert isinstance(runner.error, ValueError)  # type: ignore[attr-defined]
    assert not list(tmp_path.glob("*.pth"))


def test_nothing_is_saved_before_anything_was_trained(make_runner: MakeRunner, tmp_path: Path) -> None:
    run(make_runner, tmp_path, failing_at("before_train_iter", 1))
    run(make_runner, tmp_path, failing_at("before_train_epoch", 1))
    assert not list(tmp_path.glob("*.pth"))


def test_error_is_the_first_one_where_nothing_can_be_saved(make_runner: MakeRunner, tmp_path: Path) -> None:
    class Closed(Hook):
        def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
            raise OSError(28, "No space left on device")

    runner, _ = run(make_runner, tmp_path, failing_at("before_train_iter", 5), Closed())
    assert isinstance(runner.error, ValueError)  # type: ignore[attr-defined]
    assert not list(tmp_path.glob("*.pth"))
