"""What is answered before any work: help, versions, misspellings, colours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_toolbox import MANIFEST, command, install_toolbox

from mimctl.cli.lazy import root
from mimctl.cli.table import COMMANDS, TOPICS


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for entry in COMMANDS:
        found += [(entry.name, child.name) for child in entry.children] or [(entry.name,)]
    return found


def test_alone_it_prints_short_help_by_topic_with_two_examples(mimctl):
    said = mimctl()
    assert (said.code, said.err) == (0, "")
    assert all(f"{topic}:" in said.out for topic in TOPICS)
    assert said.out.count("\n  mimctl ") == 2


def test_version_is_one_line_without_home_and_with_a_broken_toolbox(mimctl, site):
    (site / "mimctl_bad-1.dist-info").mkdir()
    (site / "mimctl_bad-1.dist-info" / "entry_points.txt").write_bytes(b"[mimctl.plugins]\n\xff")
    for flag in ("--version", "-V"):
        said = mimctl(flag, env={"HOME": ""})
        assert (said.code, said.out.count("\n"), said.err) == (0, 1, "")
        assert said.out.startswith("mimctl 0.")


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_verb_has_help_with_examples_that_parse(path):
    import click

    context = click.Context(root(), info_name="mimctl")
    command = root()
    for name in path:
        command = command.get_command(context, name)
        context = click.Context(command, parent=context, info_name=name)
    text = command.get_help(context)
    assert "Examples:" in text
    for example in command.examples:
        assert all(len(line) <= 120 for line in example.splitlines())
        if example.startswith("mimctl "):
            words = example.partition("#")[0].partition(" > ")[0].split()[1 + len(path) :]
            command.make_context(path[-1], words, parent=context.parent, resilient_parsing=False)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("instal", "install"),
        ("trian", "train"),
        ("se", "search"),
        ("predict", "infer"),
        ("val", "test"),
        ("export", "convert"),
        ("remove", "uninstall"),
    ],
)
def test_a_misspelled_command_suggests_and_runs_nothing(mimctl, typed, meant):
    said = mimctl(typed, "det")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error[unknown-command]: `mimctl` has no command `{typed}`\n")
    assert f"hint: did you mean `mimctl {meant}`" in said.err


def test_a_misspelled_command_is_told_whole(mimctl):
    assert mimctl("instal", "det").err == (
        "error[unknown-command]: `mimctl` has no command `instal`\n"
        "\n"
        "hint: did you mean `mimctl install`?\n"
        "hint: all commands: `mimctl --help`\n"
        "hint: read more: `mimctl explain unknown-command`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("install", "--dryrun", "det"), "--dry-run"),
        (("train", "det", "a.py", "--cfg-option", "a=1"), "--cfg-options"),
        (("train", "det", "a.py", "--workdir", "x"), "--work-dir"),
        (("list", "--jsn"), "--json"),
        (("settings", "show", "--orgin"), "--origin"),
    ],
)
def test_a_misspelled_option_suggests_and_runs_nothing(mimctl, arguments, meant):
    said = mimctl(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error[unknown-option]: ")
    assert f"hint: did you mean `{meant}`" in said.err


def test_a_missing_argument_is_a_usage_error_in_our_grammar(mimctl):
    said = mimctl("train", "det")
    assert said.code == 2
    assert said.err.startswith("error[usage]: `mimctl train`: missing argument 'CONFIG'\n")


def test_an_error_with_json_is_one_document_on_stdout(mimctl):
    said = mimctl("explain", "no-such-code", "--json")
    document = json.loads(said.out)
    assert said.code == 2
    assert document["schema_version"] == 1
    assert document["command"] == "explain"
    assert document["error"]["code"] == "unknown-code"
    assert said.err.startswith("error[unknown-code]")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["settings", "set", "indx", "x", "--json"], "settings set"),
        (["--json", "list"], "list"),
        (["lst", "--json"], None),
    ],
)
def test_an_error_document_names_the_command(mimctl, arguments, command):
    assert json.loads(mimctl(*arguments).out)["command"] == command


def test_piped_output_has_no_ansi_and_obeys_the_colour_switches(mimctl, toy):
    assert "\x1b" not in mimctl("list").out
    assert "\x1b[" in mimctl("list", "--color", "always").out
    assert "\x1b[" in mimctl("list", env={"FORCE_COLOR": "1"}).out
    assert "\x1b" not in mimctl("list", "--color", "never", env={"FORCE_COLOR": "1"}).out
    assert "\x1b" not in mimctl("instal", env={"NO_COLOR": "1"}).err
    assert "\x1b[" in mimctl("instal", "--color", "always").err


def test_a_terminal_gets_colour_unless_no_color_is_set(environment, tmp_path):
    assert b"\x1b[" in on_terminal(["settings", "shw"], environment, tmp_path)
    assert b"\x1b[" not in on_terminal(["settings", "shw"], {**environment, "NO_COLOR": "1"}, tmp_path)


def on_terminal(arguments: list[str], environment: dict[str, str], folder: Path) -> bytes:
    import pty

    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env={**environment, "TERM": "xterm"}, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            chunk = os.read(controller, 4096)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    process.wait(timeout=240)
    os.close(controller)
    return seen


def test_long_lines_are_never_wrapped_or_cut_in_a_pipe(mimctl, site):
    long = "very " * 60 + "long"
    install_toolbox(site, "toy", manifest=MANIFEST.replace("a toolbox for tests", long))
    assert long in mimctl("list").out


def test_a_reader_that_leaves_early_is_no_error(environment, tmp_path):
    line = f"{sys.executable} -m mimctl explain --json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_completions_know_our_words_and_touch_nothing(mimctl, environment, tmp_path):
    for shell in ("bash", "zsh", "fish"):
        said = mimctl("completions", shell)
        assert said.code == 0
        assert "_MIMCTL_COMPLETE" in said.out
    words = {"_MIMCTL_COMPLETE": "bash_complete", "COMP_WORDS": "mimctl un", "COMP_CWORD": "1"}
    assert mimctl(env=words).out.strip() == "plain,uninstall"
    words = {"_MIMCTL_COMPLETE": "bash_complete", "COMP_WORDS": "mimctl settings s", "COMP_CWORD": "2"}
    assert mimctl(env=words).out.split() == ["plain,show", "plain,set"]


def test_completion_knows_the_installed_toolboxes(mimctl, toy):
    words = {"_MIMCTL_COMPLETE": "bash_complete", "COMP_WORDS": "mimctl train t", "COMP_CWORD": "2"}
    assert mimctl(env=words).out.split() == ["plain,toy"]
