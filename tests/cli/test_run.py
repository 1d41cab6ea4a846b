"""`mimctl run` with a toolbox of ours: scripts, modules and commands, under launchers of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import wait_until
from toy_scripts import add_scripts
from toy_toolbox import command

from mimctl.cli.commands.run import end_of_own


@pytest.fixture
def scripts(toy: Path) -> Path:
    add_scripts(toy)
    return toy


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def with_torch(environment: dict[str, str]) -> dict[str, str]:
    """A target that has torch and the toolbox."""
    return {"MIMCTL_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


def said(here: Path, rank: object = "-") -> dict[str, object]:
    found: dict[str, object] = json.loads((here / f"said-{rank}.json").read_text())
    return found


def test_what_can_be_started_is_listed(mimctl, scripts):
    assert mimctl("run", "toy").out.split() == [
        "beside",
        "say",
        "show",
        "deep:flops",
        "one:same",
        "two:same",
        "toy-command",
        "toy-second",
        "mimctl_toy.command",
        "mimctl_toy.many",
    ]


def test_a_script_is_started_as_by_hand(mimctl, scripts, here):
    done = mimctl("run", "toy", "say", "a b", "--gpus", "7", "--json", "-h", env={"CUDA_VISIBLE_DEVICES": "1,2"})
    assert (done.code, done.out) == (0, "rank -: out to all\n")
    assert "rank -: err\n" in done.err
    told = said(here)
    assert told["argv"] == ["a b", "--gpus", "7", "--json", "-h"], "what follows the script's name is its own"
    assert (told["name"], told["file"]) == ("__main__", str(scripts / "tools/say.py"))
    assert told["gpus"] == "1,2"
    assert sorted(each.name for each in here.iterdir()) == ["said--.json"], "nothing is left in the folder"


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("flops", "flops\n"),
        ("deep:flops", "flops\n"),
        ("show", "shown\n"),
        ("toy-command", "command ['toy-command', '0', 'x']\n"),
        ("mimctl_toy.command", "module ['0', 'x']\n"),
        ("command", "module ['0', 'x']\n"),
        ("mimctl_toy.quiet", "a module without more\n"),
        ("many", "many\n"),
        ("toy-second", "second\n"),
    ],
)
def test_every_kind_is_found_by_its_name(mimctl, scripts, name, out):
    done = mimctl("run", "toy", name, "0", "x")
    assert (done.code, done.out) == (0, out), done.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sya", "error[script-not-found]: toolbox `toy` has no script `sya`\n\nhint: did you mean `say`?"),
        ("train", "hint: it is a verb: `mimctl train toy ...`"),
        ("same", "error[script-ambiguous]: `same` fits 2 scripts of `toy`\n  cause: one:same\n"),
        ("os.path", "error[script-not-found]"),
        ("..entries", "error[script-not-found]"),
        ("../say", "error[script-not-found]"),
    ],
)
def test_what_is_not_there_or_not_clear_is_a_usage_error(mimctl, scripts, name, told):
    done = mimctl("run", "toy", name)
    assert done.code == 2
    assert told in done.err


def test_a_toolbox_that_is_worked_on_has_scripts_beside_its_package_too(mimctl, scripts, site, tmp_path):
    assert mimctl("run", "toy", "outside").code == 2
    project = tmp_path / "project"
    project.mkdir()
    scripts.rename(project / scripts.name)
    (project / "tools").mkdir()
    (project / "tools/outside.py").write_text("print('outside')\n")
    info = next(site.glob("mimctl_toy-*.dist-info"))
    url = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(url))
    assert mimctl("run", "toy", "outside").out == "outside\n"
    assert mimctl("run", "toy", "flops").out == "flops\n"


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        ([], ("say", "--exit", "7", "0"), 7),
        ([], ("toy-command",), 1),
        (["--launcher", "pytorch", "--gpus", "0"], ("say", "--exit", "7", "0"), 7),
        pytest.param(["--procs", "1", "-l", "pytorch"], ("toy-command",), 1, marks=pytest.mark.slow),
    ],
)
def test_the_exit_code_is_the_scripts(mimctl, scripts, with_torch, options, words, code):
    done = mimctl("run", *options, "toy", *words, env=with_torch)
    assert done.code == code
    assert done.err.count(f"error[script-failed]: `{words[0]}` of `toy` ended with exit code {code}\n") == 1
    assert "rank 0: err\n" in done.err or "rank -: err\n" in done.err or "said by the command\n" in done.err


def test_a_bug_is_told_with_its_traceback(mimctl, scripts, with_torch):
    done = mimctl("run", "toy", "say", "--raise", env=with_torch)
    assert done.code == 1
    assert "Traceback (most recent call last):\n" in done.err
    assert done.err.count("ValueError: a bug in a script") == 1
    ranks = mimctl("run", "--procs", "2", "toy", "say", "--raise", env=with_torch)
    assert ranks.code == 1
    assert "error[child-crashed]: ValueError: a bug in a script\n" in ranks.err
    assert "on rank 1 of 2" in ranks.err
    assert "runpy" not in ranks.err


def test_ranks_know_their_place_and_meet(mimctl, scripts, with_torch, here):
    done = mimctl("run", "--procs", "2", "toy", "say", "--meet", "x", env={**with_torch, "RANK": "5"})
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == ["rank 0: out to all", "rank 1: out to all"]
    for rank in (0, 1):
        told = said(here, rank)
        assert (told["RANK"], told["LOCAL_RANK"], told["WORLD_SIZE"]) == (str(rank), str(rank), "2")
        assert told["MASTER_ADDR"] and told["MASTER_PORT"]
        assert (told["name"], told["argv"], told["gpus"]) == ("__main__", ["--meet", "x"], "")
        assert (here / f"met-{rank}").read_text() == "2.0"


def test_what_another_launcher_left_means_nothing_to_one_process(mimctl, scripts, here):
    assert mimctl("run", "--launcher", "none", "--gpus", "0", "toy", "say", env={"RANK": "5"}).code == 0
    assert (said(here)["RANK"], said(here)["gpus"]) == (None, "")


def test_a_run_is_written_down_with_what_it_printed(mimctl, scripts):
    assert mimctl("run", "--name", "mine", "toy", "say", "--exit", "7", "-").code == 7
    state = json.loads(mimctl("status", "mine", "--json").out)
    assert (state["state"], state["plugin"], state["action"], state["launcher"]) == ("failed", "toy", "run", "none")
    assert state["error"]["message"] == "`say` of `toy` ended with exit code 7"
    assert sorted(mimctl("logs", "mine").out.splitlines()) == ["rank -: err", "rank -: out to all"]
    assert "no training" in mimctl("resume", "mine").err
    assert mimctl("run", "toy", "show").code == 0
    assert json.loads(mimctl("status", "last", "--json").out)["name"] == "show"


def test_with_json_the_document_is_all_of_stdout(mimctl, scripts):
    done = mimctl("run", "--json", "toy", "show")
    document = json.loads(done.out)
    assert (document["package"], document["script"]) == ("toy", str(scripts / "demo/show.py"))
    assert document["run"]
    assert "shown\n" in done.err


def test_what_is_typed_into_us_reaches_the_script(environment, scripts, here):
    here.mkdir()
    done = subprocess.run(
        command("run", "toy", "say", "--read"),
        cwd=here,
        env=environment,
        input="hello\n",
        text=True,
        capture_output=True,
    )
    assert "read: hello\n" in done.stdout


def test_a_reader_that_has_enough_ends_the_script(environment, scripts, here):
    here.mkdir()
    (scripts / "tools/endless.py").write_text("while True: print('y' * 99)\n")
    line = " ".join(command("run", "toy", "endless"))
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -n 1"], cwd=here, env=environment, capture_output=True, timeout=240
    )
    assert done.stdout == b"y" * 99 + b"\n"


def test_dry_run_shows_the_line_and_starts_nothing(mimctl, scripts, interpreter, here, home):
    plain = mimctl("run", "--dry-run", "toy", "say", "x y")
    assert plain.out == f"{interpreter} {scripts / 'tools/say.py'} 'x y'\n"
    ranks = mimctl("run", "--procs", "2", "--dry-run", "-v", "toy", "say", "x")
    assert "-P -m mimctl.engine.agent " in ranks.out
    assert '"target": "' + str(scripts / "tools/say.py") in ranks.out
    job = mimctl("run", "-l", "slurm", "--gpus", "4", "-p", "gpu", "--dry-run", "toy", "say")
    assert job.out.startswith("#!/bin/bash\n#SBATCH --job-name=say\n")
    assert "#SBATCH --partition=gpu\n" in job.out
    assert list(here.iterdir()) == []
    assert not list(home.rglob("scripts"))


@pytest.mark.parametrize(
    ("options", "number", "code"),
    [
        ([], signal.SIGTERM, 143),
        ([], signal.SIGINT, 130),
        (["--procs", "2"], signal.SIGTERM, 143),
        pytest.param(["--procs", "2"], signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_signals_end_all_of_it(environment, with_torch, scripts, here, options, number, code):
    here.mkdir()
    process = subprocess.Popen(
        command("run", *options, "toy", "say", "--long"),
        cwd=here,
        env={**environment, **with_torch},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ranks = ["-"] if not options else ["0", "1"]
    wait_until(lambda: all((here / f"long-{each}").exists() for each in ranks))
    process.send_signal(number)
    assert process.wait(timeout=240) == code
    wait_until(lambda: not running(str(scripts / "tools/say.py")))


def test_a_script_goes_on_by_itself_and_can_be_stopped(mimctl, environment, scripts, here):
    done = mimctl("run", "--detach", "toy", "say", "--long")
    assert done.code == 0
    run = done.out.strip()
    assert f"run {run} is process" in done.err
    wait_until(lambda: (here / "long--").exists())
    state = json.loads(mimctl("status", run, "--json").out)
    assert state["state"] == "running"
    assert os.getsid(state["pid"]) == state["pid"], "a session of its own"
    assert "rank -: out to all" in mimctl("logs", run).out, "at once, not when it ends"
    assert mimctl("cancel", run).code == 0
    wait_until(lambda: json.loads(mimctl("status", run, "--json").out)["state"] == "cancelled")
    assert not running(str(scripts / "tools/say.py"))


def test_a_detached_script_that_fails_says_why(mimctl, scripts):
    run = mimctl("run", "-d", "toy", "say", "--exit", "7", "-").out.strip()
    lines = mimctl("logs", "-f", run).out
    assert "rank -: err\n" in lines
    assert "error[script-failed]: `say` of `toy` ended with exit code 7\n" in lines
    state = json.loads(mimctl("status", run, "--json").out)
    assert (state["state"], state["error"]["code"]) == ("failed", "script-failed")


def test_a_terminal_stays_a_terminal(environment, scripts, here):
    import pty

    here.mkdir()
    (scripts / "tools/terminal.py").write_text(
        "import os, sys\nprint(sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size().columns)\n"
    )
    read, write = pty.openpty()
    process = subprocess.Popen(command("run", "toy", "terminal"), cwd=here, env=environment, stdout=write, stderr=write)
    assert process.wait(timeout=240) == 0
    os.close(write)
    told = b""
    try:
        while chunk := os.read(read, 4096):
            told += chunk
    except OSError:
        pass
    assert b"True True 0\r\n" in told or b"True True 80\r\n" in told
    os.close(read)


@pytest.mark.parametrize(
    ("typed", "own"),
    [
        (["toy", "say", "--gpus", "2"], 2),
        (["--gpus", "2", "toy", "say", "x"], 4),
        (["--gpus=2", "toy", "say", "x"], 3),
        (["-G2", "toy", "say", "x"], 3),
        (["-yG", "2", "toy", "say", "x"], 4),
        (["-yd", "toy", "--python", "p", "say", "--python"], 5),
        (["toy", "-G", "2", "say"], 4),
        (["--", "toy", "say", "x"], 3),
        (["toy"], 1),
        (["toy", "--gpus"], 2),
        ([], 0),
    ],
)
def test_own_options_end_at_the_scripts_name(typed, own):
    assert end_of_own(typed, {"--gpus", "-G", "--python"}) == own


def running(word: str) -> list[int]:
    """Return the processes whose line has `word`."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (place / "cmdline").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            continue
    return found
