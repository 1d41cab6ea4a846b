"""`mimctl train`, `test` and `infer` through a toolbox without torch: real children, whole outcomes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from patience import wait_until
from toy_toolbox import command


@pytest.fixture
def here(tmp_path) -> Path:
    return tmp_path / "here"


def problem(said) -> str:
    """Return what stands on stderr below the line that names the target."""
    head, _, rest = said.err.partition("\n")
    return rest if head.startswith("target: ") else said.err


def train(mimctl, *arguments, **rest):
    return mimctl("train", "toy", "toy_small", "--gpus", "0", *arguments, **rest)


def test_train_runs_the_toolbox_and_prints_the_checkpoint(mimctl, toy, here):
    said = train(mimctl)
    work_dir = here / "work_dirs" / "toy_small"
    assert said.code == 0, said.err
    assert said.out == f"{work_dir}/epoch_2.pth\n"
    assert "train: epoch 1 of 2\n" in said.err
    assert "train epoch 1: 3/3  loss 0.3333  eta 0s\n" in said.err
    assert "val: toy/score 0.5\n" in said.err
    assert (work_dir / "epoch_2.pth").read_bytes() == b"weights"
    (run_dir,) = (path for path in work_dir.iterdir() if path.is_dir())
    assert {"spec.json", "events.jsonl", "result.json"} <= {path.name for path in run_dir.iterdir()}


def test_train_json_is_one_document_whatever_the_child_prints(mimctl, toy):
    said = train(mimctl, "--json")
    document = json.loads(said.out)
    assert (document["schema_version"], document["command"]) == (1, "train")
    assert document["metrics"] == {"toy/score": 0.5}
    assert document["plugin"] == "toy"


def test_quiet_train_says_nothing(mimctl, toy):
    said = train(mimctl, "-q")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_an_alias_of_the_toolbox_works(mimctl, toy):
    assert mimctl("train", "oldtoy", "toy_small", "--gpus", "0").code == 0


def test_dry_run_prints_argv_and_environment_and_leaves_nothing(mimctl, toy, here, interpreter):
    said = train(mimctl, "--dry-run")
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0].startswith("unset RANK ")
    assert lines[1] == "export CUDA_VISIBLE_DEVICES=''"
    assert lines[2].startswith(f"{interpreter} -P -m mimctl.engine.child {here}/work_dirs/toy_small/")
    assert list(here.iterdir()) == []
    document = json.loads(train(mimctl, "--dry-run", "--json").out)
    assert document["argv"][1:4] == ["-P", "-m", "mimctl.engine.child"]
    assert document["spec"]["entry"] == "mimctl_toy.entries:train"
    assert document["environment"] == {"CUDA_VISIBLE_DEVICES": ""}


def test_secrets_of_the_environment_appear_nowhere(mimctl, toy, here):
    secret = {"MY_TOKEN": "canary-58291"}
    assert "canary" not in train(mimctl, "--dry-run", "-v", "--json", env=secret).out
    train(mimctl, env=secret)
    assert not [path for path in here.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_several_values_stand_after_one_cfg_options_flag(mimctl, toy):
    said = mimctl(
        "train", "toy", "--cfg-options", "model.width=8", "train_cfg.max_epochs=9", "--gpus", "0", "--dry-run",
        "--json", "toy_small",
    )  # fmt: skip
    assert json.loads(said.out)["spec"]["overrides"] == {"model.width": 8, "train_cfg.max_epochs": 9}
    said = train(
        mimctl, "--cfg-options", "model.width=8", "--cfg-options", "train_cfg.max_epochs=9", "--dry-run", "--json"
    )
    assert json.loads(said.out)["spec"]["overrides"] == {"model.width": 8, "train_cfg.max_epochs": 9}


def test_precision_is_one_word(mimctl, toy):
    document = json.loads(train(mimctl, "--precision", "bf16-mixed", "--dry-run", "--json").out)
    assert document["spec"]["overrides"]["precision"] == "bf16-mixed"
    said = train(mimctl, "--precision", "32", "--amp")
    assert (said.code, "leave one of them out" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("override", "told"),
    [("model.widht=8", "model.width"), ("train_cfgg.max_epochs=9", "train_cfg")],
)
def test_a_misspelled_override_is_found_before_any_process_starts(mimctl, toy, here, override, told):
    said = train(mimctl, "--cfg-options", override)
    assert (said.code, said.out) == (2, "")
    assert "--> --cfg-options" in said.err
    assert f"did you mean `{told}" in said.err
    assert list(here.iterdir()) == []


def test_a_misspelled_key_names_file_and_line(mimctl, toy, here):
    (here / "mine.py").write_text("default_scope = 'toy'\nmodel = dict(\n    type='ToyNet',\n    widht=4)\n")
    said = mimctl("train", "toy", "mine.py", "--gpus", "0")
    assert said.code == 2
    assert "--> mine.py:4" in said.err
    assert "`width`" in said.err
    assert not (here / "work_dirs").exists()


def test_a_config_that_would_run_code_is_refused(mimctl, toy, here):
    (here / "mine.py").write_text("x = __import__('os').system('touch ran')\n")
    said = mimctl("train", "toy", "mine.py", "--gpus", "0")
    assert said.code == 2
    assert "mine.py:1" in said.err
    assert not (here / "ran").exists()


def test_a_bare_name_that_fits_several_configs_lists_them(mimctl, toy):
    said = mimctl("train", "toy", "toy_big", "--gpus", "0")
    assert said.code == 2
    assert problem(said).startswith(
        "error[config-ambiguous]: config `toy_big` fits 2 configs of `toy`\n"
        "  cause: nets/toy_big_1x.py\n"
        "         nets/toy_big_2x.py\n"
    )


@pytest.mark.parametrize(
    ("config", "code", "hint"),
    [
        ("toy_smal", "config-not-found", "did you mean `toy_small`?"),
        ("wrong/dir/toy_small.py", "config-not-found", "did you mean `toy_small`?"),
        ("toy_small.py", "config-not-found", "did you mean `toy_small`?"),
    ],
)
def test_a_config_that_does_not_exist_is_an_error_with_the_nearest(mimctl, toy, config, code, hint):
    said = mimctl("train", "toy", config, "--gpus", "0")
    assert said.code == 2
    assert problem(said).startswith(f"error[{code}]")
    assert hint in said.err


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ocr", "install it: `mimctl install ocr`"), ("mmocr", "`mimctl install ocr`"), ("toyy", "did you mean `toy`?")],
)
def test_a_toolbox_that_is_not_installed_says_what_to_type(mimctl, toy, name, hint):
    said = mimctl("train", name, "x")
    assert said.code == 1
    assert problem(said).startswith(f"error[plugin-not-installed]: toolbox `{name}` is not installed")
    assert hint in said.err


def test_a_verb_that_the_toolbox_lacks_lists_those_it_has(mimctl, toy):
    said = mimctl("convert", "toy")
    assert said.code == 1
    assert problem(said).startswith(
        "error[verb-not-offered]: toolbox `toy` does not offer `convert`\n"
        "  cause: it offers `data`, `infer`, `test`, `train`\n"
    )


@pytest.mark.parametrize(
    ("behaviour", "code", "start"),
    [
        ("exits", 7, "error[child-died]: train ended with exit code 7\n  cause: last words\n"),
        ("crashes", 1, "error[child-crashed]: ValueError: the net tore\n"),
        ("memory", 1, "error[out-of-memory]: "),
        ("refuses", 1, "error[data-not-found]: no such thing\n  cause: it is gone\n"),
    ],
)
def test_the_childs_end_is_told_once_and_its_exit_code_is_ours(mimctl, toy, behaviour, code, start):
    said = train(mimctl, "--cfg-options", f"model.mode={behaviour}")
    assert (said.code, said.out) == (code, "")
    assert said.err.count("error[") == 1
    assert said.err[said.err.index("error[") :].startswith(start)


def test_a_crash_shows_where_it_happened(mimctl, toy):
    said = train(mimctl, "--cfg-options", "model.mode=crashes")
    assert 'raise ValueError("the net tore")' in said.err


def start_hanging(environment, here: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command("train", "toy", "toy_small", "--gpus", "0", "--cfg-options", "model.mode=hangs"),
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    places = [here / "work_dirs" / "toy_small" / name for name in ("child", "worker")]

    def is_there() -> bool:
        assert process.poll() is None, process.communicate()
        return all(place.exists() and place.read_text() for place in places)

    wait_until(is_there)
    return process


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_stops_the_child_and_its_workers_at_once(mimctl, toy, environment, here, number, code):
    process = start_hanging(environment, here)
    pids = [int((here / "work_dirs" / "toy_small" / name).read_text()) for name in ("child", "worker")]
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    assert out == ""
    assert err.endswith("interrupted\n") if code == 130 else "error[terminated]: train was stopped by SIGTERM" in err
    wait_until(lambda: not any(map(is_alive, pids)))


def test_a_module_in_the_current_folder_is_not_run(mimctl, toy, here):
    (here / "json.py").write_text("raise SystemExit('the folder was imported')\n")
    (here / "torch.py").write_text("raise SystemExit('the folder was imported')\n")
    environment = {"PYTHONSAFEPATH": "1"}  # as the installed script: `python -m` would look here itself
    assert train(mimctl, env=environment).code == 0


def test_names_with_blanks_and_unicode_work(mimctl, toy, here):
    folder = here / "größe 1"
    folder.mkdir()
    (folder / "mein netz.py").write_text((toy / "configs" / "nets" / "toy_small.py").read_text())
    said = mimctl("train", "toy", "größe 1/mein netz.py", "--gpus", "0", "--work-dir", "läufe/nr 1")
    assert (said.code, said.out) == (0, f"{here}/läufe/nr 1/epoch_2.pth\n")


def test_a_work_dir_without_write_permission_is_one_clear_error(mimctl, toy, here):
    if os.getuid() == 0:
        target = "/proc/forbidden"
    else:
        (here / "closed").mkdir(mode=0o555)
        target = "closed/run"
    said = train(mimctl, "--work-dir", target)
    assert said.code == 1
    assert problem(said).startswith("error[")
    assert "Traceback" not in said.err


def test_missing_data_files_are_named_before_the_start(mimctl, toy, here):
    (here / "mine.py").write_text(
        "default_scope = 'toy'\nmodel = dict(type='ToyNet', width=1)\n"
        "train_dataloader = dict(dataset=dict(type='ToySet',\n"
        "    data_root='nowhere/', ann_file='a.json', data_prefix=dict(img='pictures/')))\n"
    )
    said = mimctl("train", "toy", "mine.py", "--gpus", "0")
    assert said.code == 1
    assert problem(said).startswith("error[data-not-found]: ")
    assert "`nowhere/a.json` (train_dataloader.dataset.ann_file, " in said.err
    assert "`nowhere/pictures`" in said.err
    assert not (here / "work_dirs").exists()


def test_test_prints_a_table_of_metrics(mimctl, toy, here):
    (here / "w.pth").write_bytes(b"")
    said = mimctl("test", "toy", "toy_small", "-C", "w.pth", "--gpus", "0")
    assert (said.code, said.out) == (0, "metric     value\ntoy/score  0.7500\ntoy/seen   12\n")


def test_test_finds_last_and_best_of_the_work_dir(mimctl, toy, here):
    assert "error[checkpoint-not-found]" in mimctl("test", "toy", "toy_small", "-C", "last", "--gpus", "0").err
    train(mimctl)
    work_dir = here / "work_dirs" / "toy_small"
    (work_dir / "best_toy_epoch_1.pth").write_bytes(b"")
    for word, name in (("last", "epoch_2.pth"), ("best", "best_toy_epoch_1.pth"), (work_dir, "best_toy_epoch_1.pth")):
        said = mimctl("test", "toy", "toy_small", "-C", word, "--gpus", "0", "--dry-run", "--json")
        assert json.loads(said.out)["spec"]["checkpoint"] == str(work_dir / name)


def test_test_with_augmentation_says_so_to_the_run(mimctl, toy, here):
    (here / "w.pth").write_bytes(b"")
    said = mimctl("test", "toy", "toy_small", "-C", "w.pth", "--gpus", "0", "--dry-run", "--json", "--tta")
    assert json.loads(said.out)["spec"]["options"] == {"tta": True}


def test_infer_prints_what_was_found_in_each_image(mimctl, toy, here):
    (here / "w.pth").write_bytes(b"")
    (here / "a.jpg").write_bytes(b"")
    said = mimctl("infer", "toy", "w.pth", "a.jpg", "--gpus", "0")
    assert said.code == 0, said.err
    assert said.out == f"{here}/a.jpg\n  cat 0.90  [1, 2, 30, 40]\n"
    document = json.loads(mimctl("infer", "toy", "w.pth", "a.jpg", "--gpus", "0", "--json").out)
    assert document["images"][0]["boxes"][0]["label"] == "cat"


@pytest.mark.parametrize("arguments", [("gone.pth", "a.jpg"), ("w.pth", "gone.jpg")])
def test_infer_refuses_what_is_not_there(mimctl, toy, here, arguments):
    (here / "w.pth").write_bytes(b"")
    (here / "a.jpg").write_bytes(b"")
    said = mimctl("infer", "toy", *arguments, "--gpus", "0")
    assert said.code == 1
    assert "does not exist" in said.err


def test_a_config_beside_a_downloaded_checkpoint_needs_trust_to_import(mimctl, toy, here):
    (here / "net-0123abcd.pth").write_bytes(b"")
    (here / "a.jpg").write_bytes(b"")
    (here / "net.py").write_text("custom_imports = dict(imports=['evil'])\n")
    said = mimctl("infer", "toy", "net-0123abcd.pth", "a.jpg", "--gpus", "0")
    assert said.code == 2
    assert problem(said).startswith(
        "error[untrusted-config]: `net.py` came with a checkpoint and wants to import `evil`"
    )
    trusted = mimctl(
        "infer", "toy", "net-0123abcd.pth", "a.jpg", "--gpus", "0", "--trust-config", "--dry-run", "--json"
    )
    assert json.loads(trusted.out)["spec"]["config"] == str(here / "net.py")


def test_what_a_run_prints_cannot_move_the_cursor_or_recolour_the_terminal(mimctl, toy, here):
    (toy / "entries.py").write_text("def train(spec):\n    print('a\\x1b[2J\\x1b]0;title\\x07b\\rc')\n    return {}\n")
    said = train(mimctl)
    assert said.code == 0
    assert "\x1b" not in said.err
    assert "\x07" not in said.err
    assert "\nc\n" in said.err
