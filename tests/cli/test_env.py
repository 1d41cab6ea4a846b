"""`mimctl env`: every fact has a source and a line in the reference, secrets stay out, odd machines do not stop it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest
from toy_toolbox import ROOT


def facts(said):
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)["facts"]


def test_each_fact_has_a_source_and_stands_in_the_reference(mimctl):
    found = facts(mimctl("env", "--json"))
    assert all(set(fact) == {"value", "source"} and fact["source"] for fact in found.values())
    table = (ROOT / "docs/reference/json.md").read_text(encoding="utf-8").partition("## Facts of `env`")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(found) == sorted(name for row in rows for name in re.findall(r"`(\w+)`", row))


def test_the_lines_and_the_document_name_the_same_facts(mimctl):
    lines = mimctl("env").out.splitlines()
    names = [line.split()[0] for line in lines[1:]]
    assert lines[0].split() == ["fact", "value", "source"]
    assert list(dict.fromkeys(names)) == ["target", *facts(mimctl("env", "--json"))]


def test_where_packages_come_from_is_told_without_passwords(mimctl, home):
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text(
        "[global]\nextra-index-url =\n  https://me:hunter2@private.example/simple\n  https://other.example/simple\n"
    )
    env = {
        "MIMCTL_INDEX_URL": "https://bob:hunter2@index.example",
        "UV_DEFAULT_INDEX": "https://key:hunter2@uv.example/simple?token=hunter2",
        "PIP_PROXY": "http://jim:hunter2@proxy.example:3128",
    }
    said = mimctl("env", env=env)
    assert "hunter2" not in said.out
    document = mimctl("env", "--json", env=env)
    assert "hunter2" not in document.out
    settings = [tuple(each.values()) for each in facts(document)["indexes"]["value"]]
    assert settings[0] == ("mimctl", "index", "https://***@index.example", "MIMCTL_INDEX_URL")
    found = {(tool, key, value): source for tool, key, value, source in settings}
    assert found["pip", "extra-index-url", "https://other.example/simple"].startswith(
        str(home / ".config/pip/pip.conf")
    )
    assert found["pip", "extra-index-url", "https://***@private.example/simple"]
    assert found["pip", "proxy", "http://***@proxy.example:3128"] == "PIP_PROXY"
    assert found["uv", "index-url", "https://***@uv.example/simple?…"] == "UV_DEFAULT_INDEX"


def test_a_configuration_of_pip_that_is_none_is_told_and_stops_nothing(mimctl, home):
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text("this is no INI file\n")
    indexes = facts(mimctl("env", "--json"))["indexes"]
    assert indexes["value"] == []
    assert "pip.conf` cannot be read" in indexes["source"]


def test_a_machine_of_another_kind_is_told_by_its_commands(mimctl, tmp_path):
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in {
        "nvidia-smi": "0, GPU-aaa, 580.65.06, 9.0, 143771, Disabled, NVIDIA H200",
        "nvcc": "Cuda compilation tools, release 12.6, V12.6.77",
        "sbatch": "",
    }.items():
        (commands / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (commands / name).chmod(0o755)
    env = {"PATH": f"{commands}:/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "0"}
    found = facts(mimctl("env", "--json", env=env))
    assert found["accelerator"]["value"]["kind"] == "cuda"
    assert [(gpu["name"], gpu["memory_mib"]) for gpu in found["gpus"]["value"]] == [("NVIDIA H200", 143771)]
    assert found["visible_gpus"] == {"value": "0", "source": "CUDA_VISIBLE_DEVICES"}
    assert found["slurm"] == {"value": str(commands / "sbatch"), "source": "PATH"}
    line = next(line for line in mimctl("env", env=env).out.splitlines() if line.startswith("gpus"))
    assert " ".join(line.split()[1:]) == f"NVIDIA H200 (compute 9.0, 143771 MiB) {commands / 'nvidia-smi'}"


@pytest.mark.parametrize(
    "hostile",
    [
        "head -c 100000 /dev/urandom",
        "printf '\\033[2J\\033]0;title\\007'",
        "yes",
        "kill -9 $$",
        "exit 77",
        "printf '\\0'",
    ],
)
def test_commands_that_misbehave_stop_nothing_and_write_nothing_to_a_terminal(mimctl, tmp_path, hostile):
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("nvidia-smi", "nvcc", "uv"):
        (commands / name).write_text(f"#!/bin/sh\n{hostile}\n")
        (commands / name).chmod(0o755)
    said = mimctl("env", env={"PATH": f"{commands}:/usr/bin:/bin", "MIMCTL_PYTHON": sys.executable})
    assert (said.code, said.err) == (0, "")
    assert "\x1b" not in said.out
    found = facts(mimctl("env", "--json", env={"PATH": f"{commands}:/usr/bin:/bin"}))
    assert found["gpus"]["value"] == []


def test_it_works_without_home_without_path_and_on_another_interpreter(mimctl, environment, interpreter, tmp_path):
    bare = {"HOME": "", "PATH": "", "PYTHONPATH": environment["PYTHONPATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "mimctl", "env", "--json", "--python", interpreter],
        env=bare,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["target"]["python"] == str(interpreter)
    assert document["facts"]["pip"]["value"] is None


def test_an_environment_named_by_its_folder_by_a_variable_and_by_conda(mimctl, interpreter, environment, tmp_path):
    folder = interpreter.parent.parent
    named = json.loads(mimctl("env", "--json", "--python", folder).out)["target"]
    assert (named["python"], named["source"]) == (str(interpreter), "--python")
    active = json.loads(mimctl("env", "--json", env={"MIMCTL_PYTHON": "", "VIRTUAL_ENV": str(folder)}).out)["target"]
    assert (active["python"], active["source"]) == (str(interpreter), "VIRTUAL_ENV")


def test_an_interpreter_is_named_by_a_word_on_path_and_a_file_here_comes_first(mimctl, interpreter, tmp_path):
    commands, here = tmp_path / "commands", tmp_path / "here"
    commands.mkdir()
    (commands / "python9").symlink_to(interpreter)
    env = {"PATH": f"{commands}:/usr/bin:/bin"}
    said = json.loads(mimctl("env", "--json", "--python", "python9", env=env).out)
    assert said["target"]["python"] == str(commands / "python9")
    (here / "python9").symlink_to(interpreter.parent.parent)
    said = json.loads(mimctl("env", "--json", "--python", "python9", env=env).out)
    assert said["target"]["python"] == str(here / "python9/bin/python")
    missing = mimctl("env", "--python", "python8", env=env)
    assert (missing.code, "no Python at `python8`" in missing.err) == (1, True)


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml"])
def test_mimctl_in_a_tool_environment_looks_at_another_one(interpreter, environment, tmp_path, mark):
    """pipx and `uv tool` give mimctl an environment of its own; the target is then another one, or none is."""
    tool = tmp_path / "tool"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tool], check=True)
    (tool / mark).touch()
    site = next(tool.glob("lib/python*/site-packages"))
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "mimctl.pth").write_text("\n".join([str(ROOT), *packages]) + "\n")
    env = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "MIMCTL_PYTHON")}
    argv = [tool / "bin/python", "-m", "mimctl", "env", "--json"]
    said = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert (said.returncode, json.loads(said.stdout)["error"]["code"]) == (1, "no-target")
    env["CONDA_PREFIX"] = str(interpreter.parent.parent)
    said = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["target"] == {
        "python": str(interpreter),
        "source": "CONDA_PREFIX",
        "is_own": False,
    }


def test_torch_is_read_and_never_imported(mimctl, interpreter, tmp_path):
    site = next(interpreter.parent.parent.glob("lib/python*/site-packages"))
    package = site / "torch"
    package.mkdir()
    try:
        (package / "version.py").write_text("__version__ = '2.6.0a0+ecf3bae40a.nv25.1'\ncuda = '12.8'\n")
        (package / "__init__.py").write_text("raise SystemExit('imported')\n")
        found = facts(mimctl("env", "--json"))
        assert found["torch"]["value"]["cuda"] == "12.8"
        assert found["torch_origin"]["value"] == "NVIDIA's container"
    finally:
        shutil.rmtree(package)
