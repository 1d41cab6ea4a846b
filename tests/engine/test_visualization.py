"""Where scalars and pictures go: files of the run, TensorBoard, Weights & Biases, MLflow; pictures of features."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimctl.config import Config
from mimctl.engine.registry import VISBACKENDS
from mimctl.engine.reporting.visualization import Visualizer
from mimctl.errors import ConfigError

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def filled(folder: Path, backend: dict[str, Any]) -> Visualizer:
    """Return a visualizer that was given a config, scalars of two steps and a picture, and is closed."""
    visualizer = Visualizer(vis_backends=[backend], save_dir=str(folder))
    visualizer.add_config(Config({"model": {"type": "ToyModel", "depth": 18}, "train_cfg": {"max_epochs": 3}}))
    visualizer.add_scalars({"loss": torch.tensor(0.5), "note": "text"}, step=1)
    visualizer.add_scalar("coco/bbox_mAP", np.float32(0.25), step=2)
    visualizer.add_image("picture", PICTURE, step=2)
    visualizer.close()
    return visualizer


def test_files_of_the_run_keep_everything(tmp_path: Path) -> None:
    from PIL import Image

    visualizer = filled(tmp_path, {"type": "LocalVisBackend"})
    visualizer.add_scalars({"accuracy": 1.0}, step=3, file_path="evaluation.json")
    visualizer.close()
    folder = tmp_path / "vis_data"
    lines = [json.loads(line) for line in (folder / "scalars.json").read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {"loss": 0.5, "note": "text", "step": 1}
    assert lines[1:] == [{"coco/bbox_mAP": 0.25, "step": 2}, {"accuracy": 1.0, "step": 3}]
    assert json.loads((folder / "evaluation.json").read_text(encoding="utf-8")) == {"accuracy": 1.0, "step": 3}
    assert np.array_equal(np.asarray(Image.open(folder / "vis_image" / "picture_2.png")), PICTURE)
    assert Config.fromfile(folder / "config.py").model.depth == 18


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    visualizer = filled(tmp_path, {"type": "TensorboardVisBackend"})
    assert type(visualizer.get_backend("TensorboardVisBackend").experiment).__name__ == "SummaryWriter"
    visualizer.close()
    events = EventAccumulator(str(tmp_path / "vis_data"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [(1, 0.5)]
    assert [(each.step, each.value) for each in events.Scalars("coco/bbox_mAP")] == [(2, 0.25)]
    [image] = events.Images("picture")
    assert (image.step, image.width, image.height) == (2, 6, 4)
    assert "depth=18" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()


def test_training_writes_to_tensorboard_beside_its_files(make_runner: Callable[..., Any]) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backends = [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend"}]
    runner = make_runner(visualizer={"type": "Visualizer", "vis_backends": backends})
    runner.train()
    events = EventAccumulator(str(runner.log_dir / "vis_data"))
    events.Reload()
    lines = (runner.log_dir / "vis_data" / "scalars.json").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line) for line in lines if "loss" in json.loads(line)]
    assert [each.step for each in events.Scalars("loss")] == [each["step"] for each in losses]
    assert [each.value for each in events.Scalars("loss")] == pytest.approx([each["loss"] for each in losses])


def test_wandb_keeps_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    backend = {
        "type": "WandbVisBackend",
        "init_kwargs": {"mode": "offline", "project": "toy"},
        "define_metric_cfg": {"coco/bbox_mAP": "max"},
    }
    filled(tmp_path, backend)
    [run] = (tmp_path / "vis_data" / "wandb").glob("offline-run-*/run-*.wandb")
    held = run.read_bytes()
    assert all(word in held for word in (b"loss", b"coco/bbox_mAP", b"model.depth", b"max"))
    [image] = run.parent.glob("files/media/images/picture_*.png")
    assert image.stat().st_size > 0


def test_mlflow_finds_the_run_in_its_file(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    visualizer = filled(
        tmp_path,
        {"type": "MLflowVisBackend", "exp_name": "toys", "run_name": "first", "tags": {"kind": "test"}},
    )
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'vis_data' / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("toys").experiment_id])
    assert run.data.metrics == {"loss": 0.5, "coco/bbox_mAP": 0.25}
    assert (run.data.params["model.depth"], run.data.tags["kind"], run.info.run_name) == ("18", "test", "first")
    assert [each.step for each in client.get_metric_history(run.info.run_id, "coco/bbox_mAP")] == [2]
    assert {each.path for each in client.list_artifacts(run.info.run_id)} >= {"config.py", "picture_2.png"}
    assert run.info.status == "FINISHED"
    assert visualizer.get_backend("MLflowVisBackend")


SERVICES = {"TensorboardVisBackend": "tensorboard", "WandbVisBackend": "wandb", "MLflowVisBackend": "mlflow"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_that_is_not_installed_says_how_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, SERVICES[name], None)
    backend = VISBACKENDS.build({"type": name}, save_dir=str(tmp_path))
    with pytest.raises(ConfigError, match=f"write to {SERVICES[name]}, which cannot be imported") as caught:
        backend.add_scalar("loss", 1.0, 1)
    assert caught.value.code == "missing-extra"
    assert f"`pip install 'mimctl[{SERVICES[name]}]'`" in caught.value.hints[0]


def test_services_are_imported_when_they_are_written_to() -> None:
    code = (
        "import sys\n"
        "from mimctl.engine.reporting.visualization import Visualizer\n"
        f"Visualizer(vis_backends=[{{'type': name}} for name in {list(SERVICES)}], save_dir='nowhere').close()\n"
        f"print([name for name in {[*SERVICES.values(), 'matplotlib', 'cv2']} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def ramp() -> torch.Tensor:
    """Return a map (2, 2, 4): a ramp from left to right, and its half upside down."""
    line = torch.arange(4.0).expand(2, 4)
    return torch.stack([line, -line / 2])


def test_heat_goes_from_blue_to_red() -> None:
    picture = Visualizer.draw_featmap(ramp())
    assert picture.shape == (2, 4, 3)
    assert picture[0, 0].tolist() == [0, 0, 128]
    assert picture[0, 3].tolist() == [128, 0, 0]


def test_strongest_channel_is_chosen() -> None:
    flipped = ramp().flip(0)
    assert np.array_equal(
        Visualizer.draw_featmap(flipped, channel_reduction="select_max"), Visualizer.draw_featmap(ramp()[:1])
    )


def test_heat_lies_over_a_picture_of_any_size() -> None:
    under = np.full((8, 8, 3), 100, np.uint8)
    alone = Visualizer.draw_featmap(ramp(), resize_shape=(8, 8))
    over = Visualizer.draw_featmap(ramp(), under, alpha=0.25)
    assert np.abs(over.astype(float) - (0.75 * under + 0.25 * alone)).max() <= 1
    assert Visualizer.draw_featmap(ramp(), under[..., 0], resize_shape=(4, 6)).shape == (4, 6, 3)


def test_channels_lie_side_by_side_strongest_first() -> None:
    picture = Visualizer.draw_featmap(ramp(), channel_reduction=None, topk=3, arrangement=(2, 2))
    assert picture.shape == (4, 8, 3)
    assert np.array_equal(picture[:2, :4], Visualizer.draw_featmap(ramp()[:1]))
    assert np.array_equal(picture[:2, 4:], Visualizer.draw_featmap(ramp()[1:]))
    assert (picture[2:] == 255).all(), "places without a channel stay white"


@pytest.mark.parametrize(
    "options",
    [
        {"featmap": torch.zeros(4, 4)},
        {"channel_reduction": "sum"},
        {"channel_reduction": None, "topk": 21},
        {"channel_reduction": None, "topk": 0},
    ],
)
def test_feature_map_that_cannot_be_drawn_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Visualizer.draw_featmap(**{"featmap": ramp(), **options})


def test_showing_without_a_screen_says_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ConfigError) as caught:
        Visualizer().add_datasample("image", PICTURE, show=True)
    assert caught.value.code == "no-screen"
    assert any("--show-dir" in hint for hint in caught.value.hints)
