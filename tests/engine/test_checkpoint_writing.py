"""Checkpoints are whole or not there, whatever stops their writing, and which of them are kept."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mimctl.engine.checkpoints.checkpoint import export_weights, find_latest, read_checkpoint, save_checkpoint
from mimctl.engine.files import atomic
from mimctl.engine.files.atomic import atomic_write, clean_leftovers
from mimctl.engine.hooks import Hook
from mimctl.engine.hooks.checkpoint import CheckpointHook
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError, IntegrityError

MakeRunner = Callable[..., Runner]
ROOT = Path(__file__).parents[2]
OLD = {"state_dict": {"weight": torch.zeros(1000)}}
NEW = {"state_dict": {"weight": torch.ones(1000)}}


def all_files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 — hidden files too


# One call of the system after the other fails


CALLS = ("mkstemp", "open", "fsync", "chmod", "replace", "close", "sync_folder")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", CALLS)
def test_whatever_call_fails_the_old_checkpoint_or_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = save_checkpoint(OLD, tmp_path / "a.pth")
    failed: list[str] = []
    places: dict[str, tuple[Any, str]] = {
        "mkstemp": (atomic.tempfile, "mkstemp"),
        "open": (Path, "open"),
        "fsync": (os, "fsync"),
        "chmod": (Path, "chmod"),
        "replace": (Path, "replace"),
        "close": (os, "close"),
        "sync_folder": (atomic, "sync_folder"),
    }
    owner, name = places[call]
    real = getattr(owner, name)

    def fail(*arguments: Any, **options: Any) -> Any:
        failed.append(name)
        if name == "close":
            real(*arguments, **options)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, fail)
        with pytest.raises(OSError) as caught:
            save_checkpoint(NEW, path)
    assert failed
    assert caught.value.errno == number
    assert (caught.value.filename == str(path)) or call == "close"
    value = read_checkpoint(path)["state_dict"]["weight"][0].item()
    assert value == (1.0 if call in ("close", "sync_folder") else 0.0)
    assert all_files(tmp_path) == ["a.pth"]


SAVE = """
import sys, torch
from mimctl.engine.checkpoints.checkpoint import export_weights, save_checkpoint
content = {"state_dict": {"weight": torch.ones(1_000_000)}}
try:
    if sys.argv[2] == "safetensors":
        export_weights(sys.argv[3], sys.argv[1], dtype=None)
    else:
        save_checkpoint(content, sys.argv[1])
except OSError as err:
    print(err.errno, err.filename)
"""


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_limit_of_a_file_s_size_is_the_error_that_is_told(tmp_path: Path, kind: str) -> None:
    source = save_checkpoint({"state_dict": {"weight": torch.ones(1_000_000)}}, tmp_path / "source.pth")
    path = save_checkpoint(OLD, tmp_path / "a.pth")
    before = path.read_bytes()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    found = subprocess.run(
        [sys.executable, "-c", SAVE, str(path), kind, str(source)],
        cwd=ROOT, capture_output=True, text=True, check=True, preexec_fn=limit,
    )  # fmt: skip
    assert found.stdout.split() == [str(errno.EFBIG), str(path)]
    assert path.read_bytes() == before
    assert all_files(tmp_path) == ["a.pth", "source.pth"]


def test_full_disk_is_the_error_that_is_told(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"""
mount -t tmpfs -o size=256k tmpfs {disk} || exit 77
{sys.executable} -c '{SAVE}' {disk}/a.pth torch
ls -A {disk}
"""
    found = subprocess.run(
        ["unshare", "-m", "bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode == 77 or "unshare" in found.stderr:
        pytest.skip("mounting a small file system needs root")
    assert found.stdout.split() == [str(errno.ENOSPC), f"{disk}/a.pth"], "and nothing lies on the disk"


KILLED = """
import sys, torch
from pathlib import Path
from mimctl.engine.checkpoints.checkpoint import save_checkpoint
number = 0
while True:
    number += 1
    save_checkpoint({"state_dict": {"weight": torch.full((200_000,), number)}}, sys.argv[1])
    print(number, flush=True)
"""


def test_file_is_whole_at_every_moment_that_a_saving_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    whole = 0
    for moment in range(8):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moment * 0.0037)
        process.kill()
        process.communicate()
        weight = read_checkpoint(path)["state_dict"]["weight"]
        assert torch.equal(weight, torch.full_like(weight, weight[0].item()))
        whole += 1
    assert whole == 8
    left = set(all_files(tmp_path)) - {"a.pth"}
    assert {each.name for each in clean_leftovers(tmp_path)} == left
    assert all_files(tmp_path) == ["a.pth"]


def test_what_another_process_is_writing_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / ".a.pth.abcdefgh.tmp").write_bytes(b"of a killed save")
    (tmp_path / ".notes.tmp").write_text("somebody's own")
    (tmp_path / "kept.tmp").write_text("somebody's own")
    seen: list[list[str]] = []

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"new")
        clean_leftovers(tmp_path)
        seen.append(all_files(tmp_path))

    atomic_write(tmp_path / "b.pth", write)
    assert len(seen[0]) == 3
    assert all_files(tmp_path) == [".notes.tmp", "b.pth", "kept.tmp"]


def test_next_run_cleans_up_after_a_killed_save(make_runner: MakeRunner, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".epoch_1.pth.abcdefgh.tmp").write_bytes(b"half a checkpoint")
    make_runner(work_dir=folder).train()
    assert not list(folder.glob(".*.tmp"))


# Which are kept


class Spoil(Hook):
    """Damage a checkpoint as soon as it is written, as a failing disk does."""

    priority = "LOWEST"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        real = atomic.put_in_place

        def put(temporary: Path, path: Path) -> None:
            real(temporary, path)
            if path.name == name:
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 255
                path.write_bytes(bytes(content))

        monkeypatch.setattr(atomic, "put_in_place", put)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


def test_old_checkpoint_stays_until_a_new_one_can_be_read(
    make_runner: MakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = {"checkpoint": {"interval": 1, "max_keep_ckpts": 1}}
    runner = make_runner(work_dir=tmp_path, default_hooks=hooks, custom_hooks=[Spoil(monkeypatch, "epoch_3.pth")])
    runner.train()
    assert names(tmp_path) == {"epoch_2.pth", "epoch_3.pth"}
    assert find_latest(tmp_path) == tmp_path / "epoch_2.pth"


def test_resuming_from_a_damaged_checkpoint_by_name_is_refused(make_runner: MakeRunner, tmp_path: Path) -> None:
    make_runner(work_dir=tmp_path).train()
    path = tmp_path / "epoch_2.pth"
    content = bytearray(path.read_bytes())
    place = content.index(read_checkpoint(path)["state_dict"]["last.weight"].numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))
    assert read_checkpoint(path)["meta"]["epoch"] == 2, "torch sees no difference"
    with pytest.raises(IntegrityError, match="not a readable checkpoint") as caught:
        make_runner(work_dir=tmp_path, resume=str(path)).train()
    assert "checksums" in caught.value.causes[0]


class Scores(Hook):
    """Replace the metrics of each validation."""

    priority = "HIGHEST"

    def __init__(self, *scores: dict[str, Any]) -> None:
        self.scores = list(scores)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        assert metrics is not None
        metrics.clear()
        metrics.update(self.scores.pop(0))


# What MMEngine 0.10.7 leaves behind with the same options over three epochs of three iterations.
@pytest.mark.parametrize(
    ("options", "scores", "left"),
    [
        ({"interval": 2}, [], {"epoch_2.pth", "epoch_3.pth"}),
        ({"interval": 2, "save_last": False}, [], {"epoch_2.pth"}),
        ({"interval": -1}, [], {"epoch_3.pth"}),
        ({"interval": 1, "save_begin": 2}, [], {"epoch_2.pth", "epoch_3.pth"}),
        ({"interval": 1, "save_begin": 3, "save_last": False}, [], {"epoch_3.pth"}),
        ({"interval": 1, "max_keep_ckpts": 2}, [], {"epoch_2.pth", "epoch_3.pth"}),
        ({"interval": 4, "by_epoch": False}, [], {"iter_4.pth", "iter_8.pth", "iter_9.pth"}),
        ({"interval": 2, "by_epoch": False, "max_keep_ckpts": 2, "save_last": False}, [], {"iter_6.pth", "iter_8.pth"}),
        ({"interval": 1, "filename_tmpl": "model-{:03d}.pth"}, [], {"model-001.pth", "model-002.pth", "model-003.pth"}),
        ({"interval": 3, "save_best": "acc"}, [{"acc": 1}, {"acc": 3}, {"acc": 2}],
         {"epoch_3.pth", "best_acc_epoch_2.pth"}),
        ({"interval": 3, "save_best": "acc", "rule": "less"}, [{"acc": 1}, {"acc": 3}, {"acc": 2}],
         {"epoch_3.pth", "best_acc_epoch_1.pth"}),
        ({"interval": 3, "save_best": ["a/acc", "loss"]},
         [{"a/acc": 1, "loss": 5}, {"a/acc": 3, "loss": 6}, {"a/acc": 2, "loss": 4}],
         {"epoch_3.pth", "best_a_acc_epoch_2.pth", "best_loss_epoch_3.pth"}),
        ({"interval": 3, "save_best": ["x", "y"], "rule": ["less", "greater"]},
         [{"x": 1, "y": 1}, {"x": 0, "y": 0}, {"x": 2, "y": 2}],
         {"epoch_3.pth", "best_x_epoch_2.pth", "best_y_epoch_3.pth"}),
        ({"interval": 3, "save_best": "auto"}, [{"mAP": 1, "loss": 1}, {"mAP": 0, "loss": 0}, {"mAP": 2, "loss": 2}],
         {"epoch_3.pth", "best_mAP_epoch_3.pth"}),
        ({"interval": 3, "save_best": "acc"}, [{"acc": float("nan")}, {"acc": 1}, {"acc": float("nan")}],
         {"epoch_3.pth", "best_acc_epoch_2.pth"}),
        ({"interval": 3, "save_best": "psi", "greater_keys": ["psi"]}, [{"psi": 1}, {"psi": 2}, {"psi": 0}],
         {"epoch_3.pth", "best_psi_epoch_2.pth"}),
        ({"interval": 3, "save_best": "my_psi", "less_keys": ["PSI"]}, [{"my_psi": 1}, {"my_psi": 2}, {"my_psi": 3}],
         {"epoch_3.pth", "best_my_psi_epoch_1.pth"}),
        ({"interval": 3, "save_best": "acc", "filename_tmpl": "m{}.pth"}, [{"acc": 1}, {"acc": 2}, {"acc": 0}],
         {"m3.pth", "best_acc_m2.pth"}),
        ({"interval": 3, "by_epoch": False, "save_best": "acc"}, [{"acc": 1}, {"acc": 2}, {"acc": 0}],
         {"iter_3.pth", "iter_6.pth", "iter_9.pth", "best_acc_iter_6.pth"}),
        ({"interval": 1, "max_keep_ckpts": 1, "save_best": "acc"}, [{"acc": 1}, {"acc": 2}, {"acc": 0}],
         {"epoch_3.pth", "best_acc_epoch_2.pth"}),
    ],
)  # fmt: skip
def test_hook_leaves_what_mmengine_s_leaves(
    make_runner: MakeRunner, tmp_path: Path, options: dict[str, Any], scores: list[dict[str, Any]], left: set[str]
) -> None:
    hooks = {"custom_hooks": [Scores(*scores)]} if scores else {}
    make_runner(work_dir=tmp_path, default_hooks={"checkpoint": options}, **hooks).train()
    assert names(tmp_path) == left


def test_best_checkpoint_is_for_use_alone(make_runner: MakeRunner, tmp_path: Path) -> None:
    hooks = {"checkpoint": {"interval": 1, "save_best": "acc"}}
    runner = make_runner(
        work_dir=tmp_path, default_hooks=hooks, custom_hooks=[Scores({"acc": 1}, {"acc": 2}, {"acc": 0})]
    )
    runner.train()
    best, last = (read_checkpoint(tmp_path / name) for name in ("best_acc_epoch_2.pth", "epoch_3.pth"))
    assert "optimizer" in last
    assert not {"optimizer", "param_schedulers"} & set(best)
    facts = last["message_hub"]
    assert (facts["best_score"], facts["best_ckpt"]) == (2.0, "best_acc_epoch_2.pth")
    assert (facts["keep_ckpt_ids"], facts["last_ckpt"]) == ([1, 2, 3], "epoch_3.pth")


def test_retention_and_best_go_on_in_a_resumed_run(make_runner: MakeRunner, tmp_path: Path) -> None:
    hooks = {"checkpoint": {"interval": 1, "max_keep_ckpts": 1, "save_best": "acc"}}
    first = make_runner(work_dir=tmp_path, default_hooks=hooks, train_cfg={"by_epoch": True, "max_epochs": 2},
                        custom_hooks=[Scores({"acc": 1}, {"acc": 2})])  # fmt: skip
    first.train()
    assert names(tmp_path) == {"epoch_2.pth", "best_acc_epoch_2.pth"}
    # The checkpoint of epoch 2 was saved before its validation, which the resumed run makes up for.
    second = make_runner(work_dir=tmp_path, default_hooks=hooks, resume=True,
                         custom_hooks=[Scores({"acc": 2}, {"acc": 3})])  # fmt: skip
    second.train()
    assert names(tmp_path) == {"epoch_3.pth", "best_acc_epoch_3.pth"}


def test_checkpoints_elsewhere_are_found_from_the_work_dir(make_runner: MakeRunner, tmp_path: Path) -> None:
    hooks = {"checkpoint": {"interval": 1, "out_dir": str(tmp_path / "big disk"), "filename_tmpl": "step-{}.pth"}}
    first = make_runner(work_dir=tmp_path / "run", default_hooks=hooks, train_cfg={"by_epoch": True, "max_epochs": 2})
    first.train()
    folder = tmp_path / "big disk" / "run"
    assert names(folder) == {"step-1.pth", "step-2.pth"}
    assert (tmp_path / "run" / "last_checkpoint").read_text() == str(folder / "step-2.pth")
    assert find_latest(tmp_path / "run") == folder / "step-2.pth"
    (folder / "step-2.pth").write_bytes(b"damaged")
    assert find_latest(tmp_path / "run") == folder / "step-1.pth"
    second = make_runner(work_dir=tmp_path / "run", default_hooks=hooks, resume=True)
    second.train()
    assert names(folder) == {"step-1.pth", "step-2.pth", "step-3.pth"}


def test_published_copies_bear_their_own_hash(make_runner: MakeRunner, tmp_path: Path) -> None:
    options = {"interval": 3, "save_best": ["acc", "loss"], "published_keys": ["meta", "state_dict"]}
    scores = Scores({"acc": 1, "loss": 5}, {"acc": 3, "loss": 6}, {"acc": 2, "loss": 4})
    make_runner(work_dir=tmp_path, default_hooks={"checkpoint": options}, custom_hooks=[scores]).train()
    published = [path for path in tmp_path.glob("*.pth") if "-" in path.stem]
    assert {path.stem.partition("-")[0] for path in published} == {"epoch_3", "best_acc_epoch_2", "best_loss_epoch_3"}
    for path in published:
        assert path.stem.partition("-")[2] == hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        assert set(torch.load(path, weights_only=True)) == {"meta", "state_dict"}
    assert find_latest(tmp_path) == tmp_path / "epoch_3.pth"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"filename_tmpl": "../outside_{}.pth"}, "the name of a file"),
        ({"filename_tmpl": "/tmp/{}.pth"}, "the name of a file"),
        ({"filename_tmpl": "{0.__class__}.pth"}, "one `{}`"),
        ({"filename_tmpl": "{}_{}.pth"}, "one `{}`"),
        ({"filename_tmpl": "always.pth"}, "one `{}`"),
        ({"filename_tmpl": "{name}.pth"}, "one `{}`"),
        ({"filename_tmpl": "best_{}.pth"}, "the name of a file"),
        ({"save_begin": -1}, "save_begin"),
        ({"save_best": ["acc", "acc"]}, "twice"),
        ({"save_best": ["auto", "acc"]}, "not both"),
        ({"save_best": ["acc", "loss", "mAP"], "rule": ["less", "less"]}, "one for all or one for each"),
        ({"save_best": "acc", "rule": "grater"}, "`greater` or `less`"),
        ({"save_best": "psi"}, "not known whether"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CheckpointHook(**options)
    assert reason in caught.value.message


def test_weights_are_exported_whole_or_not_at_all(tmp_path: Path) -> None:
    source = save_checkpoint(OLD, tmp_path / "a.pth")
    target = export_weights(source, tmp_path / "a.safetensors")
    before = target.read_bytes()
    (tmp_path / "a.pth").write_bytes(b"damaged")
    with pytest.raises(Exception, match="not a readable checkpoint"):
        export_weights(source, target)
    assert target.read_bytes() == before
