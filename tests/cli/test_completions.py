"""Completion in the shells themselves, as far as they are installed; it must never wait for a network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import wait_until
from toy_toolbox import install_toolbox

BASH = """
compopt() {{ :; }}
eval "$(mimctl completions bash)"
COMP_WORDS=({words})
COMP_CWORD={position}
_mimctl_completion mimctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

ZSH = """
compdef() {{ :; }}
_path_files() {{ :; }}
compadd() {{ while [ $# -gt 0 ]; do case "$1" in -U|-V|-X) shift;; esac; shift; done; print -l -- $completions; }}
_describe() {{ print -l -- ${{completions_with_descriptions%%:*}}; }}
eval "$(mimctl completions zsh)"
words=({words}) CURRENT={count}
_mimctl_completion
"""

FISH = """
mimctl completions fish | source
complete -C "{line}"
"""


@pytest.fixture
def shell(environment, tmp_path):
    """Return what completes a line in a shell where `mimctl` is a command."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "mimctl").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mimctl "$@"\n')
    (bin_dir / "mimctl").chmod(0o755)
    folder = tmp_path / "ein Ordner für Bilder"
    folder.mkdir()

    def complete(name: str, line: str, **variables: str) -> list[str]:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"no {name} here")
        words = line.split(" ")
        typed = " ".join(f"'{word}'" for word in words)
        scripts = {
            "bash": BASH.format(words=typed, position=len(words) - 1),
            "zsh": ZSH.format(words=typed, count=len(words)),
            "fish": FISH.format(line=line),
        }
        plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}
        own = {**environment, "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb", **variables}
        done = subprocess.run(
            [path, *plain[name], "-c", scripts[name]], cwd=folder, env=own, capture_output=True, text=True, timeout=240
        )
        assert done.stderr == ""
        return [word.partition("\t")[0] for word in done.stdout.split("\n") if word]

    return complete


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_shell_completes_verbs_options_and_toolboxes(shell, site, name):
    install_toolbox(site, "toy")
    assert shell(name, "mimctl unin") == ["uninstall"]
    assert shell(name, "mimctl settings un") == ["unset"]
    assert "--dry-run" in shell(name, "mimctl install --d")
    assert shell(name, "mimctl train t") == ["toy"]


ZOO = """{"schema_version": 1, "plugin": "toy", "models": [
{"name": "toynet_s", "buildable": true},
{"name": "toynet_old", "buildable": false},
{"name": "toynet_m", "buildable": true}
]}"""


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_shell_completes_names_of_configs_and_models(shell, site, tmp_path, name):
    install_toolbox(site, "toy")
    install_toolbox(site, "tui")
    (tmp_path / "index" / "zoo").mkdir(parents=True)
    (tmp_path / "index" / "zoo" / "toy.json").write_text(ZOO)
    here = tmp_path / "ein Ordner für Bilder"
    for file in ("toy_mine.py", "toy_weights.pth", "notes.txt"):
        (here / file).touch()
    index = str(tmp_path / "index")
    toys = ["toy_big_1x", "toy_big_2x"]
    for words in ("config show", "config diff", "config origin", "config lint", "train toy", "test oldtoy"):
        assert shell(name, f"mimctl {words} toy_b") == toys, words
    assert shell(name, "mimctl config diff toy_big_1x toy_b") == toys
    assert shell(name, "mimctl config lint toy_big_1x toy_s") == ["toy_small"]
    assert sorted(shell(name, "mimctl config show --plugin toy t")) == sorted([*toys, "toy_small", "toy_mine.py"])
    assert "tui_small" in shell(name, "mimctl config show t")
    assert shell(name, "mimctl train toy tui") == []
    assert shell(name, "mimctl infer toy toynet", MIMCTL_INDEX_URL=index) == ["toynet_m", "toynet_s"]
    assert shell(name, "mimctl infer toy toy_w", MIMCTL_INDEX_URL=index) == ["toy_weights.pth"]


def test_names_that_no_index_holds_now_are_no_hindrance(shell, site, tmp_path):
    install_toolbox(site, "toy")
    (tmp_path / "index" / "zoo").mkdir(parents=True)
    (tmp_path / "index" / "zoo" / "toy.json").write_text("{broken")
    for index in (str(tmp_path / "index"), str(tmp_path / "none"), "https://nowhere.invalid/index"):
        assert shell("bash", "mimctl infer toy toy_s", MIMCTL_INDEX_URL=index) == ["toy_small"]


@pytest.fixture
def ear() -> Iterator[tuple[str, list[str]]]:
    """Return an address, and who has called it."""
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                calls.append("called")
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
        server.close()


@pytest.mark.parametrize(
    "line",
    ["mimctl ", "mimctl install ", "mimctl train ", "mimctl download det ", "mimctl upgrade ", "mimctl infer det r"],
)
def test_completion_never_touches_the_network(shell, ear, line):
    address, calls = ear
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), address)
    shell("bash", line, MIMCTL_INDEX_URL=address, PIP_INDEX_URL=address, **proxies)
    assert calls == []
    socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
    wait_until(lambda: calls == ["called"])  # the ear is open


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_the_same_without_a_home(mimctl, name):
    said = mimctl("completions", name, env={"HOME": ""})
    assert (said.code, said.err) == (0, "")
    assert said.out == mimctl("completions", name).out
    assert Path(said.out.split()[0]).name  # a script, not nothing
