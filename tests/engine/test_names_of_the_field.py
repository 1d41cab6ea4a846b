"""Functions that toolboxes of the field call by name: what they return is what MMEngine's return."""

from __future__ import annotations

import argparse
import io
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimctl import engine
from mimctl.errors import ConfigError, MimctlError, UnsafeFileError
from tests.engine.ranks import on_two_ranks


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.3.0", (1, 3, 0, 0, 0, 0)),
        ("2.0.0rc4", (2, 0, 0, 0, -1, 4)),
        ("2.13.0+cu128", (2, 13, 0, 0, 0, 0)),
        ("1.0.0a1", (1, 0, 0, 0, -3, 1)),
        ("1.0b2", (1, 0, 0, 0, -2, 2)),
        ("1.0.post3", (1, 0, 0, 0, 1, 3)),
        ("1.0.dev5", (1, 0, 0, 0, -4, 0)),
    ],
)
def test_versions_become_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert engine.digit_version(version) == expected


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="no version"):
        engine.digit_version("newest")


def test_sequences() -> None:
    assert engine.is_list_of([1, 2], int)
    assert not engine.is_list_of((1, 2), int)
    assert engine.is_seq_of((1, "a"), (int, str))
    assert engine.is_tuple_of((1,), int)
    assert engine.is_str("a")
    assert engine.list_cast(["1", "2"], int) == [1, 2]
    assert engine.tuple_cast([1, 2], str) == ("1", "2")
    assert engine.slice_list([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
    assert engine.slice_list([1, 2, 3], [1, 2]) == [[1], [2, 3]]
    assert engine.concat_list([[1], [2, 3]]) == [1, 2, 3]
    assert (engine.to_2tuple(3), engine.to_2tuple((1, 2)), engine.to_3tuple("ab")) == ((3, 3), (1, 2), "ab")
    with pytest.raises(ValueError, match="cannot be cut"):
        engine.slice_list([1, 2, 3], 2)


def test_nested_data_and_dicts() -> None:
    doubled = engine.apply_to({"a": [1, (2.0, "x")]}, lambda value: isinstance(value, int), lambda value: value * 2)
    assert doubled == {"a": [2, (2.0, "x")]}
    assert engine.merge_dict({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="have a"):
        engine.merge_dict({"a": 1}, {"a": 2})


def test_classes_and_imports_by_name() -> None:
    class Base:
        def work(self) -> int:
            return 1

    class Own(Base):
        def work(self) -> int:
            return 2

    assert engine.is_method_overridden("work", Base, Own)
    assert engine.is_method_overridden("work", Base, Own())
    assert not engine.is_method_overridden("work", Base, Base)
    assert engine.has_method([], "append")
    assert engine.get_object_from_string("torch.nn.ReLU") is torch.nn.ReLU
    assert engine.get_object_from_string("no_such_module.Thing") is None
    assert engine.import_modules_from_strings("json").__name__ == "json"
    with pytest.warns(UserWarning, match="surely_absent"):
        assert engine.import_modules_from_strings(["surely_absent"], allow_failed_imports=True) == [None]
    assert engine.is_installed("torch")
    assert not engine.is_installed("surely-absent")


def test_renamed_arguments_still_work() -> None:
    @engine.deprecated_api_warning({"old": "new"}, cls_name="Thing")
    def take(new: int = 0) -> int:
        return new

    with pytest.warns(DeprecationWarning, match=r"`old` of `Thing\.take` is called `new`"):
        assert take(old=3) == 3
    with pytest.raises(TypeError, match="not both"):
        take(old=3, new=4)


def test_data_files(tmp_path: Path) -> None:
    data = {"a": np.arange(3), "b": {1, 2}, "c": np.float32(0.5)}
    engine.dump(data, tmp_path / "a.json")
    engine.dump(data, tmp_path / "b.yaml")
    plain = {"a": [0, 1, 2], "b": [1, 2], "c": 0.5}
    assert engine.load(tmp_path / "a.json") == engine.load(tmp_path / "b.yaml") == plain
    assert engine.load(io.StringIO("[1]"), file_format="json") == [1]
    assert engine.dump([1], file_format="json") == "[1]"
    with pytest.raises(UnsafeFileError):
        engine.load(tmp_path / "a.pkl")
    with pytest.raises(ConfigError, match="not as a pickle"):
        engine.dump(1, tmp_path / "a.pkl")
    with pytest.raises(ConfigError, match="no format"):
        engine.load(tmp_path / "a.json", file_format="xml")


def test_lists_and_dicts_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    engine.put_text("cat 0\r\ndog 1 pet\nbird 2\n", path)
    assert engine.list_from_file(path) == ["cat 0", "dog 1 pet", "bird 2"]
    assert engine.list_from_file(path, prefix="x/", offset=1, max_num=1) == ["x/dog 1 pet"]
    assert engine.dict_from_file(path) == {"cat": "0", "dog": ["1", "pet"], "bird": "2"}
    engine.put_text("alone\n", path)
    with pytest.raises(MimctlError, match=r"classes\.txt:1"):
        engine.dict_from_file(path)


def test_folders(tmp_path: Path) -> None:
    engine.mkdir_or_exist(tmp_path / "deep" / "er")
    for name in ("b.jpg", "a.PNG", ".hidden", "deep/c.jpg"):
        engine.put(b"x", tmp_path / name)
    assert list(engine.scandir(tmp_path)) == ["a.PNG", "b.jpg"]
    assert list(engine.scandir(tmp_path, suffix=".jpg", recursive=True)) == ["b.jpg", "deep/c.jpg"]
    assert list(engine.scandir(tmp_path, suffix=(".png",), case_sensitive=False)) == ["a.PNG"]
    assert list(engine.list_dir_or_file(tmp_path, list_file=False, recursive=True)) == ["deep", "deep/er"]
    assert engine.isfile(tmp_path / "b.jpg")
    assert engine.isdir(tmp_path / "deep")
    assert engine.join_path("a", "b", "c.jpg") == "a/b/c.jpg"
    assert engine.join_path("http://host/a/", "b") == "http://host/a/b"
    engine.copyfile(tmp_path / "b.jpg", tmp_path / "copy.jpg")
    with engine.get_local_path(tmp_path / "copy.jpg") as local:
        assert Path(local).read_bytes() == b"x"
    engine.remove(tmp_path / "copy.jpg")
    engine.rmtree(tmp_path / "deep")
    assert not engine.exists(tmp_path / "copy.jpg")
    assert not engine.exists(tmp_path / "deep")
    with pytest.raises(FileNotFoundError):
        engine.check_file_exist(tmp_path / "gone")


def test_progress_is_written() -> None:
    shown = io.StringIO()
    assert engine.track_progress(lambda x: x + 1, [1, 2, 3], bar_width=6, file=shown) == [2, 3, 4]
    assert "[>>>>>>] 3/3" in shown.getvalue()
    assert list(engine.track_iter_progress((iter("ab"), 2), file=io.StringIO())) == ["a", "b"]


def test_messages_are_printed_or_logged(capsys: pytest.CaptureFixture[str]) -> None:
    engine.print_log("printed")
    engine.print_log("never", logger="silent")
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = engine.MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        engine.print_log("logged", logger="current", level=logging.WARNING)
    finally:
        logger.removeHandler(handler)
    assert capsys.readouterr().out == "printed\n"
    assert heard == ["logged"]


def test_message_hub_is_the_current_ones_of_each_thread() -> None:
    hub = engine.MessageHub.get_current_instance()
    hub.update_scalar("train/loss", 6.0, count=2)
    hub.update_scalars({"train/a": 1, "train/b": {"value": 4, "count": 2}})
    hub.update_info("kept", 1)
    hub.update_info("secret", 2, resumed=False)
    assert hub.get_scalar("train/loss").current() == 3.0
    assert hub.get_scalar("train/b").mean(window_size=5) == 2.0
    assert "secret" not in hub.state_dict()
    assert hub.get_info("secret") == 2
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(engine.MessageHub.get_instance("any")))
    thread.start()
    thread.join()
    assert found[0] is not hub


def test_weights_in_a_script(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    path = tmp_path / "weights.pth"
    content = {f"module.head.{key}": value for key, value in model.state_dict().items()}
    engine.save_checkpoint({"state_dict": content, "meta": {"epoch": 3}}, path)
    other = torch.nn.Linear(2, 1)
    keys = [(r"^module\.", ""), (r"^head\.", "")]
    assert engine.load_checkpoint(other, str(path), map_location="cpu", revise_keys=keys)["meta"] == {"epoch": 3}
    assert torch.equal(other.weight, model.weight)
    with pytest.raises(MimctlError):
        engine.load_checkpoint(torch.nn.Linear(3, 1), path, strict=True)
    assert engine.weights_to_cpu({"a": torch.ones(1)})["a"].device.type == "cpu"


def test_models_read_their_own_checkpoints(tmp_path: Path) -> None:
    engine.save_checkpoint({"state_dict": {"a": torch.ones(1)}, "meta": {}}, tmp_path / "a.pth")
    found = engine.CheckpointLoader.load_checkpoint(str(tmp_path / "a.pth"), logger=None, map_location="cpu")
    assert found["state_dict"]["a"].tolist() == [1.0]


def test_seed_and_precision() -> None:
    assert engine.set_random_seed(5) == 5
    first = torch.rand(1)
    engine.set_random_seed(5)
    assert torch.equal(torch.rand(1), first)
    with engine.autocast("cpu", dtype=torch.bfloat16):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
    with engine.autocast(enabled=False):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
    assert engine.Priority.VERY_LOW == 90
    assert engine.get_priority("VERY_LOW") == engine.Priority["VERY_LOW"].value


def test_batch_norms_and_wrappers() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))
    assert engine.has_batch_norm(model)
    assert not engine.is_model_wrapper(model)
    assert engine.is_model_wrapper(torch.nn.DataParallel(model))
    assert isinstance(engine.convert_sync_batchnorm(model)[1], torch.nn.SyncBatchNorm)
    assert type(engine.revert_sync_batchnorm(model)[1]) is not torch.nn.SyncBatchNorm
    with pytest.raises(ConfigError, match="mmcv"):
        engine.convert_sync_batchnorm(model, implementation="mmcv")


def test_figures_are_found_without_their_prefix() -> None:
    figures = {"coco/bbox": 1.0, "voc/mAP": 2.0, "coco/mAP": 3.0}
    assert engine.get_metric_value("bbox", figures) == engine.get_metric_value("coco/bbox", figures) == 1.0
    for wrong in ("mAP", "segm", "coco/segm"):
        with pytest.raises(ValueError, match=wrong):
            engine.get_metric_value(wrong, figures)


def test_methods_that_need_annotations_load_them_first() -> None:
    class Lazy:
        _fully_initialized = False
        loads = 0

        def full_init(self) -> None:
            self.loads += 1
            self._fully_initialized = True

        @engine.force_full_init
        def count(self) -> int:
            return self.loads

    held = Lazy()
    assert (held.count(), held.count()) == (1, 1)


def test_options_of_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=engine.DictAction)
    found = parser.parse_args(["--cfg-options", "a.b=1", "c=[1,(2,3)]", "d=x", "--cfg-options", "e=None"]).cfg_options
    assert found == {"a.b": 1, "c": [1, (2, 3)], "d": "x", "e": None}
    with pytest.raises(SystemExit):
        parser.parse_args(["--cfg-options", "no-value"])
    assert "--cfg-options" in capsys.readouterr().err


def test_single_process_needs_no_group() -> None:
    tensor = torch.ones(2)
    engine.broadcast(tensor)
    assert engine.all_gather(tensor)[0] is tensor
    assert engine.gather(tensor)[0] is tensor
    assert engine.get_dist_info() == (0, 1)
    assert engine.get_backend() is None
    assert engine.master_only(lambda: 3)() == 3
    assert engine.collect_results([1, 2, 3], 2, device="cpu", tmpdir=None) == [1, 2]
    assert engine.get_data_device({"a": [tensor]}) == torch.device("cpu")
    moved = engine.cast_data_device({"a": [tensor]}, torch.device("cpu"))
    assert torch.equal(moved["a"][0], tensor)


@pytest.mark.parametrize("launcher", ["none", "pytorch", "slurm"])
def test_launcher_is_inferred(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    if launcher != "none":
        monkeypatch.setenv({"pytorch": "WORLD_SIZE", "slurm": "SLURM_NTASKS"}[launcher], "1")
    assert engine.infer_launcher() == launcher


def exchange(rank: int) -> dict[str, Any]:
    """Use each exchange once; run on both ranks."""
    tensor = torch.full((2,), float(rank))
    shared = tensor.clone()
    engine.broadcast(shared, src=1)
    objects = [rank, {"rank": rank}] if rank == 0 else [None, None]
    engine.broadcast_object_list(objects)
    named = {"b": torch.tensor(rank), "a": torch.tensor([1.0 + rank]), "c": torch.tensor([[2.0]])}
    engine.all_reduce_dict(named, "sum")
    params = [torch.full((2,), float(rank)), torch.full((1, 1), 3.0 * rank)]
    engine.all_reduce_params(params, op="mean")
    return {
        "broadcast": shared.tolist(),
        "objects": objects,
        "all_gather": [each.tolist() for each in engine.all_gather(tensor)],
        "gather": [each.tolist() for each in engine.gather(tensor, dst=1)],
        "gather_object": engine.gather_object({"rank": rank}, dst=1),
        "all_gather_object": engine.all_gather_object("x" * (rank + 1)),
        "reduced": {key: value.tolist() for key, value in sorted(named.items())},
        "params": [each.tolist() for each in params],
        "product": float(engine.all_reduce(torch.tensor(2.0 + rank), op="product")),
        "seed": engine.sync_random_seed(),
        "master": engine.master_only(lambda: "first")(),
        "backend": engine.get_backend(),
    }


def test_two_ranks_exchange(tmp_path: Path) -> None:
    first, second = on_two_ranks(exchange, tmp_path)
    assert first.pop("seed") == second.pop("seed")
    assert (first.pop("master"), second.pop("master")) == ("first", None)
    assert (first.pop("gather"), second.pop("gather")) == ([], [[0.0, 0.0], [1.0, 1.0]])
    assert (first.pop("gather_object"), second.pop("gather_object")) == (None, [{"rank": 0}, {"rank": 1}])
    assert first == second
    assert first == {
        "broadcast": [1.0, 1.0],
        "objects": [0, {"rank": 0}],
        "all_gather": [[0.0, 0.0], [1.0, 1.0]],
        "all_gather_object": ["x", "xx"],
        "reduced": {"a": [3.0], "b": 1, "c": [[4.0]]},
        "params": [[0.5, 0.5], [[1.5]]],
        "product": 6.0,
        "backend": "gloo",
    }
