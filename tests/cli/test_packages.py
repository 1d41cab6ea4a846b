"""Packages of mim's convention on the command line: started by their own scripts, or refused with the reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from mim_package import fake_torch, install, make_venv, write_package
from patience import wait_until
from toy_toolbox import ROOT, command, install_toolbox

NEEDS_MMCV = "Provides-Extra: mim\nRequires-Dist: mmcv<2.2.0,>=2.0.0rc4; extra == 'mim'"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A real environment with a torch of sorts and the package `mm-toy-suite`, module `mmtoy`."""
    folder = tmp_path_factory.mktemp("packages")
    interpreter = make_venv(folder / "venv")
    install(interpreter, write_package(folder / "wheels"), fake_torch(folder / "wheels"))
    return interpreter


@pytest.fixture
def place(python):
    return {"MIMCTL_PYTHON": str(python)}


@pytest.fixture
def here(tmp_path, mimctl):
    return tmp_path / "here"


def started(here):
    return json.loads((here / "started.json").read_text())


def root_of(python):
    return next(python.parent.parent.glob("lib/python3*/site-packages")) / "mmtoy" / ".mim"


def test_train_starts_the_packages_script_and_passes_on_what_it_does_not_know(mimctl, place, python, here):
    said = mimctl(
        "train", "mmtoy", "net_s_1x_coco", "--work-dir", "out dir", "--cfg-options", "a=1", "b.c=2", "--amp", env=place
    )
    assert said.code == 0, said.err
    config = root_of(python) / "configs" / "net" / "net_s_1x_coco.py"
    words = [str(config), "--launcher", "none", "--work-dir", "out dir", "--cfg-options", "a=1", "b.c=2", "--amp"]
    assert started(here)["argv"] == words
    assert started(here)["python"] == str(python)
    assert started(here)["CUDA_VISIBLE_DEVICES"] == "", "this machine's torch is a CPU build"
    assert said.out == "script: " + json.dumps(words) + "\n"
    assert f"`mmtoy` is the package mm-toy-suite 1.2.0 ({root_of(python)})\n" in said.err


def test_test_takes_a_checkpoint_as_mim_does(mimctl, place, here):
    assert mimctl("test", "mmtoy", "net_s_1x_coco", "-C", "my.pth", "--show", env=place).code == 0
    assert started(here)["argv"][1:] == ["my.pth", "--launcher", "none", "--show"]


def test_several_processes_are_started_by_torchs_own_launcher(mimctl, place, here):
    said = mimctl("train", "mmtoy", "net_s_1x_coco", "--procs", "2", "--port", "29512", "--seed", "7", env=place)
    assert said.code == 0, said.err
    assert "launched with --nproc_per_node=2 --master_port=29512\n" in said.out
    assert started(here)["argv"][1:] == ["--launcher", "pytorch", "--seed", "7"]
    assert started(here)["MASTER_PORT"] == "29512"


def test_dry_run_prints_mims_lines_and_starts_nothing(mimctl, place, python, here):
    script, config = root_of(python) / "tools" / "train.py", root_of(python) / "configs" / "net" / "net_s_1x_coco.py"
    line = mimctl("train", "mmtoy", "net_s_1x_coco", "--gpus", "1", "--dry-run", env=place).out.splitlines()[-1]
    assert line == f"{python} {script} {config} --launcher none"
    options = ("-l", "pytorch", "-G", "4", "--port", "29500", "--dry-run")
    line = mimctl("train", "mmtoy", "net_s_1x_coco", *options, env=place).out.splitlines()[-1]
    assert line == (
        f"{python} -P -m torch.distributed.launch --nproc_per_node=4 --master_port=29500 {script} {config} "
        "--launcher pytorch"
    )
    options = ("-l", "slurm", "-G", "16", "-g", "8", "-p", "gpu", "--srun-args", "--comment='two words'", "--dry-run")
    line = mimctl("train", "mmtoy", "net_s_1x_coco", *options, "--amp", env=place).out.splitlines()[-1]
    assert line == (
        "srun -p gpu --gres=gpu:8 --ntasks=16 --ntasks-per-node=8 --cpus-per-task=2 --kill-on-bad-exit=1 "
        f"'--comment=two words' --job-name=net_s_1x_coco_train {python} -u {script} {config} --launcher slurm --amp"
    )
    assert not (here / "started.json").exists()


def test_a_slurm_job_without_gpus_asks_for_none(mimctl, place):
    said = mimctl("train", "mmtoy", "net_s_1x_coco", "-l", "slurm", "-G", "0", "--dry-run", "--json", env=place)
    line = " ".join(json.loads(said.out)["argv"])
    assert "--gres" not in line and "-p" not in line.split()
    assert "--ntasks=1 --ntasks-per-node=1" in line


@pytest.mark.parametrize("code", [1, 7, 143])
def test_the_scripts_exit_code_is_ours(mimctl, place, code):
    said = mimctl("train", "mmtoy", "net_s_1x_coco", "--exit", str(code), env=place)
    assert said.code == code
    assert f"error[script-failed]: `train.py` of `mm-toy-suite` ended with exit code {code}\n" in said.err


def test_a_killed_script_ends_as_the_shell_would_say_it(mimctl, place):
    assert mimctl("run", "mmtoy", "train", "--die", env=place).code == 128 + signal.SIGKILL


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_reach_the_script_and_nothing_is_left(environment, place, here, number, code):
    process = subprocess.Popen(
        command("run", "mmtoy", "train", "--hang"), cwd=here, env={**environment, **place}, stderr=subprocess.DEVNULL
    )
    pids = here / "pids"
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    process.send_signal(number)
    assert process.wait(timeout=240) == code
    started = [int(pid) for pid in pids.read_text().split()]
    wait_until(lambda: not any(map(running, started)))


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_packages_training_goes_on_by_itself(mimctl, place, here):
    run = mimctl("train", "mmtoy", "net_s_1x_coco", "--detach", "--name", "left", "--exit", "7", env=place).out.strip()
    lines = mimctl("logs", "-f", "left", env=place).out
    assert lines.startswith("script: [")
    assert "error[script-failed]: `train.py` of `mm-toy-suite` ended with exit code 7\n" in lines
    state = json.loads(mimctl("status", run, "--json", env=place).out)
    assert (state["state"], state["action"], state["plugin"]) == ("failed", "train", "mm-toy-suite")


def test_with_json_what_the_script_prints_goes_to_stderr(mimctl, place, python):
    said = mimctl("train", "mmtoy", "net_s_1x_coco", "--json", env=place)
    document = json.loads(said.out)
    assert (document["package"], document["version"]) == ("mm-toy-suite", "1.2.0")
    assert document["script"] == str(root_of(python) / "tools" / "train.py")
    assert "script: [" in said.err


@pytest.mark.parametrize(
    ("config", "code", "told"),
    [
        ("net_s", "", ""),
        ("net_s_1x_coco.py", "", ""),
        ("twin", "config-ambiguous", "one/twin.py\n         two/twin.py"),
        ("wrong/net_s_1x_coco.py", "config-not-found", "did you mean `net_s_1x_coco`?"),
        ("net_x_1x_coco", "config-not-found", "did you mean `net_s_1x_coco`"),
    ],
)
def test_a_config_is_a_path_that_exists_or_a_bare_name_of_the_package(mimctl, place, config, code, told):
    said = mimctl("train", "mmtoy", config, "--dry-run", env=place)
    assert said.code == (2 if code else 0)
    if code:
        assert f"error[{code}]" in said.err and told in said.err
    else:
        assert "/net_s_1x_coco.py" in said.out


def test_an_option_without_a_config_is_a_usage_error(mimctl, place):
    said = mimctl("train", "mmtoy", "--work-dir", "out", env=place)
    assert (said.code, said.out) == (2, "")
    assert "missing argument 'CONFIG'" in said.err


def test_options_that_no_toolbox_of_ours_knows_stay_errors_for_it(mimctl, site, place):
    install_toolbox(site, "toy")
    said = mimctl("train", "toy", "toy_small", "--wrok-dir", "x")
    assert said.code == 2
    assert "error[unknown-option]: `mimctl train` has no option `--wrok-dir`" in said.err


def test_run_finds_scripts_by_name_and_gives_them_all_that_follows(mimctl, place, python, here):
    said = mimctl("run", "mmtoy", "get_flops", "cfg.py", "--json", "-h", "--shape", "640", env=place)
    assert said.code == 0, said.err
    assert started(here)["argv"] == ["cfg.py", "--json", "-h", "--shape", "640"]
    assert mimctl("run", "mmtoy", "show", "a b", env=place).code == 0
    assert started(here)["argv"] == ["a b"]
    assert mimctl("run", "mmtoy", "train", "x", env=place).code == 0, "tools come before demo"
    assert mimctl("run", "mmtoy", "two:same", env=place).code == 0


def test_run_without_a_command_lists_them(mimctl, place):
    assert mimctl("run", "mmtoy", env=place).out.split() == [
        "needy",
        "show",
        "test",
        "train",
        "analysis_tools:get_flops",
        "one:same",
        "two:same",
    ]


def test_run_of_what_is_not_there_or_not_clear_is_a_usage_error(mimctl, place):
    said = mimctl("run", "mmtoy", "get_flop", env=place)
    assert said.code == 2
    assert "error[script-not-found]: package `mm-toy-suite` has no script `get_flop`" in said.err
    assert "did you mean `get_flops`?" in said.err
    said = mimctl("run", "mmtoy", "same", env=place)
    assert said.code == 2
    assert "error[script-ambiguous]: `same` fits 2 scripts of `mm-toy-suite`\n  cause: one:same\n" in said.err


@pytest.fixture(scope="module")
def needy(tmp_path_factory):
    """An environment with two packages that need an mmcv which was never built for its torch."""
    folder = tmp_path_factory.mktemp("needy")
    python = make_venv(folder / "venv")
    files = {".mim/tools/train.py": "import mmtoy\n", ".mim/tools/alone.py": "print('I need nobody')\n"}
    wheels = [
        write_package(folder, name="mmneedy", module="mmneedy", metadata=NEEDS_MMCV, changes=files),
        write_package(folder, name="mmdet", module="mmdet", metadata=NEEDS_MMCV, changes=files),
        fake_torch(folder),
    ]
    install(python, *wheels)
    return {"MIMCTL_PYTHON": str(python)}


def test_what_cannot_work_is_refused_before_it_starts_with_the_reason_and_the_way_out(mimctl, needy):
    said = mimctl("train", "mmneedy", "net_s_1x_coco", env=needy)
    assert (said.code, said.out) == (1, "")
    assert said.err.partition("error")[2] == (
        "[package-cannot-work]: `mmneedy` 1.2.0 cannot work in this environment\n"
        "  cause: needs mmcv<2.2.0,>=2.0.0rc4, which is not installed; it has no build for torch 2.13.0+cpu and "
        "Python 3.11 (the last is for torch 2.1, Python 3.11)\n"
        "\n"
        "hint: an environment of its own: Python 3.11, `pip install 'torch==2.1.*'`, `pip install mmcv==2.1.0 -f "
        "https://download.openmmlab.com/mmcv/dist/cpu/torch2.1/index.html`\n"
        "hint: read more: `mimctl explain package-cannot-work`\n"
    ).replace("3.11 (", f"{os.sys.version_info[0]}.{os.sys.version_info[1]} (")


def test_the_line_of_what_cannot_work_here_can_still_be_looked_at(mimctl, needy):
    said = mimctl("train", "mmneedy", "net_s_1x_coco", "--dry-run", env=needy)
    assert (said.code, said.out.splitlines()[-1].split()[-2:]) == (0, ["--launcher", "none"])
    assert "it would be refused: needs mmcv<2.2.0,>=2.0.0rc4, which is not installed" in said.err
    document = json.loads(mimctl("train", "mmneedy", "net_s_1x_coco", "--dry-run", "--json", env=needy).out)
    assert document["refusal"]["code"] == "package-cannot-work"


def test_a_script_that_needs_none_of_it_runs_all_the_same(mimctl, needy):
    assert mimctl("run", "mmneedy", "alone", env=needy).out == "I need nobody\n"
    assert mimctl("run", "mmneedy", "needy", env=needy).code == 1


def test_the_toolbox_of_ours_that_has_the_model_is_named(mimctl, tmp_path, needy):
    index = tmp_path / "index"
    (index / "zoo").mkdir(parents=True)
    model = {"name": "net_s", "config": "net/net_s_1x_coco.py", "config_source": "mmdet==1.2.0", "buildable": True}
    zoo = {"schema_version": 1, "plugin": "det", "models": [model]}
    (index / "zoo" / "det.json").write_text(json.dumps(zoo))
    place = {**needy, "MIMCTL_INDEX_URL": str(index)}
    said = mimctl("train", "mmdet", "net_s_1x_coco", env=place)
    assert "hint: our own toolbox has this model: `mimctl install det`, then\n" in said.err
    assert "hint:   `mimctl train det net_s_1x_coco`\n" in said.err
    assert "our own toolbox" not in mimctl("train", "mmdet", "net_l_3x_coco", env=place).err


def test_an_alias_is_our_toolbox_where_it_is_installed_and_a_version_is_the_package(
    mimctl, environment, site, tmp_path
):
    install_toolbox(site, "toy")
    python = make_venv(tmp_path / "venv")
    install(python, write_package(tmp_path / "w", name="oldtoy", module="oldtoy"))
    folder = next(python.parent.parent.glob("lib/python3*/site-packages"))
    place = {"MIMCTL_PYTHON": str(python), "PYTHONPATH": os.pathsep.join([str(ROOT), str(site), str(folder)])}
    ours = mimctl("train", "oldtoy", "toy_small", "--gpus", "0", "--dry-run", env=place)
    assert "mimctl.engine.child" in ours.out
    assert "`oldtoy` is the toolbox `toy` 0.1.0; the package of that name is `oldtoy==1.2.0`\n" in ours.err
    theirs = mimctl("train", "oldtoy==1.2.0", "net_s_1x_coco", "--dry-run", env=place)
    assert "oldtoy/.mim/tools/train.py" in theirs.out
    other = mimctl("train", "oldtoy==1.0", "net_s_1x_coco", "--dry-run", env=place)
    assert other.code == 1 and "oldtoy 1.2.0 is" in other.err
    assert mimctl("run", "oldtoy", "get_flops", env=place).code == 0, "only the package has scripts"
    refused = mimctl("run", "toy", "get_flops", env=place)
    assert "error[script-not-found]: toolbox `toy` has no script `get_flops`\n" in refused.err
    assert "  cause: it has none at all; its verbs are `data`, `infer`, `test`, `train`\n" in refused.err


def test_what_only_our_toolboxes_do_is_refused_for_a_package(mimctl, place, here):
    (here / "a.jpg").write_bytes(b"")
    said = mimctl("infer", "mmtoy", "net_s", "a.jpg", env=place)
    assert said.code == 1
    assert "error[verb-not-offered]: `mmtoy` is a package with scripts of its own, no toolbox of ours" in said.err
    assert "its scripts: `mimctl run mmtoy`" in said.err


def test_a_name_that_is_nothing_says_what_is_there(mimctl, place):
    said = mimctl("train", "mmtoi", "x", env=place)
    assert said.code == 1
    assert "error[plugin-not-installed]: toolbox `mmtoi` is not installed" in said.err


def test_the_verbs_as_functions_return_the_same_data(python, here, monkeypatch, tmp_path, capfd):
    import mimctl
    from mimctl import settings
    from mimctl.errors import MimctlError

    monkeypatch.chdir(here)
    known = settings.load({"python": str(python)}, environ={"MIMCTL_HOME": str(tmp_path), "HOME": str(tmp_path)})
    done = mimctl.run("mmtoy", "get_flops", ["x.py"], settings=known)
    assert (done.toolbox.name, done.program.path.name, done.is_over) == ("mm-toy-suite", "get_flops.py", True)
    assert capfd.readouterr().out == 'script: ["x.py"]\n'
    with pytest.raises(MimctlError) as failed:
        mimctl.run("mmtoy", "get_flops", ["--exit", "9"], settings=known)
    assert (failed.value.code, failed.value.exit_code) == ("script-failed", 9)
    plan = mimctl.run(
        "mmtoy", "train", other_args=("x",), launch=mimctl.LaunchOptions(procs=2), dry_run=True, settings=known
    )
    assert "--nproc_per_node=2" in plan.plan.argv
