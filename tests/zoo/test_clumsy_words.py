"""What people type by mistake to find and fetch models, and what they are told: the cause, and the words they meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimctl.cli.app import main
from mimctl.errors import MimctlError
from mimctl.zoo.condition import parse_conditions


@pytest.fixture
def told(index_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command line which fails, and returns its exit code and what it tells."""
    document = {"schema_version": 1, "toolboxes": {}, "models": {"det": 3, "pose": 0}}
    (index_dir / "toolboxes.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MIMCTL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MIMCTL_INDEX_URL", str(index_dir))

    def run(*words: str) -> tuple[int, str]:
        code = main(words)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.err

    return run


@pytest.mark.parametrize(("typed", "meant"), [("dte", "`det`"), ("mmdett", "`mmdet`"), ("det det", "`det`")])
def test_a_toolbox_that_is_none_is_told_with_those_that_are(told: Any, typed: str, meant: str) -> None:
    for words in (("search", typed), ("download", typed, "rtmdet_s")):
        code, err = told(*words)
        assert code == 1
        assert err.startswith(
            f"error[no-zoo]: the index has no models of `{typed}`\n  cause: it has those of det, pose\n"
        )
        assert f"did you mean {meant}" in err


@pytest.mark.parametrize("typed", ["", "../det", "zoo/det", "de\nt", "d\u202eet", "dét"])
def test_what_no_toolbox_can_be_called_is_put_into_no_address(told: Any, typed: str) -> None:
    code, err = told("search", typed)
    assert code == 1
    first = err.splitlines()[0]
    assert first.startswith("error[no-zoo]: the index has no models of `")
    assert first.endswith("`")
    assert "\u202e" not in err


def test_a_word_of_a_model_in_the_place_of_a_package_is_shown_where_it_belongs(told: Any) -> None:
    _, err = told("search", "det", "rtm nano")
    assert "models of that name: `mimctl search det --config 'rtm nano'`" in err


@pytest.mark.parametrize("option", ["--model", "--sort", "--field", "--exclude-field"])
def test_an_option_does_not_take_the_next_option_for_its_word(told: Any, option: str) -> None:
    for following in (["--json"], ["--field", "id"], []):
        code, err = told("search", "det", option, *following)
        assert code == 2
        assert err.startswith(f"error[usage]: `mimctl search`: option '{option}' requires an argument\n")
        assert "hint: all options: `mimctl search --help`\n" in err
    assert told("search", "det", "--sort", "-box_ap", "--field", "id")[0] == 0, "a falling order is a word"


def test_an_option_without_its_word_is_told_of_its_own_command(told: Any) -> None:
    for command in (["download"], ["zoo", "publish"], ["index", "build"]):
        code, err = told(*command, {"download": "--dataset"}.get(command[0], "--out"))
        assert code == 2
        assert err.startswith(f"error[usage]: `mimctl {' '.join(command)}`: option '--"), err


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("box_ap>50 or params<3M", "`or` is not known here: all conditions have to hold"),
        ("not box_ap>50", "`not` is not known here: all conditions have to hold"),
        ("box_ap>50 && epochs>12", "`&&` is not known here: all conditions have to hold"),
        ("box_ap=>50", "`>` has nothing to compare on its left; `>=`?"),
        ("box_ap = < 50", "`<` has nothing to compare on its left; `<=`?"),
        ("box_ap>>50", "`>` has nothing to compare on its left"),
    ],
)
def test_conditions_of_other_languages_are_answered_in_this_one(text: str, cause: str) -> None:
    with pytest.raises(MimctlError) as caught:
        parse_conditions(text)
    assert (caught.value.code, caught.value.causes) == ("bad-condition", (cause,))


def test_a_name_that_stops_at_a_dash_lists_what_goes_on_after_it(told: Any) -> None:
    code, err = told("download", "det", "rtmdet_")
    assert code == 1
    assert err.startswith("error[model-ambiguous]: `rtmdet_` fits 2 models\n")
    _, err = told("download", "det", "nonsense")
    assert "hint: all names: `mimctl search TOOLBOX --valid-config`\n" in err
    _, err = told("download", "rtmdet_s")
    assert "the toolbox stands before a model" in err


def test_a_folder_without_a_run_is_no_work_dir(told: Any, tmp_path: Path) -> None:
    for folder in ("nowhere", "."):
        code, err = told("zoo", "publish", folder)
        assert code == 1
        assert err.startswith("error[checkpoint-not-found]: ")
    (tmp_path / "best_net.pth").touch()
    code, err = told("zoo", "publish", ".")
    assert code == 2
    assert "which toolbox trained `best_net.pth` is not known" in err
    assert "hint: name it: `--toolbox det`" in err


def test_a_version_that_was_never_published_is_told_with_the_newest(told: Any, publish: Callable[..., None]) -> None:
    for version in range(1, 7):
        publish(f"mmtoy-0.{version}", {})
    code, err = told("search", "mmtoy==9.9")
    assert code == 4
    assert "error[package-index]: the package index gave no wheel of `mmtoy==9.9`\n" in err
    assert "(of 6 versions the newest: 0.4, 0.5, 0.6)" in err
    assert "--config" not in err, "that names a model here"


@pytest.mark.parametrize("mirror", ["", " ", "download.openmmlab.com="])
def test_a_mirror_without_an_address_is_none(told: Any, mirror: str) -> None:
    code, err = told("download", "det", "rtmdet_s", "--mirror", mirror)
    assert code == 2
    assert err.startswith(f"error[usage]: `--mirror '{mirror}'` names no address\n")


def test_a_mirror_is_asked_for_each_file_once(told: Any, tmp_path: Path) -> None:
    """Two publishers of one file: on a mirror both have the same bare name."""
    (tmp_path / "mirror").mkdir()
    code, err = told("download", "--dataset", "mnist", "--mirror", str(tmp_path / "mirror"), "--offline")
    assert code == 4
    asked = [line.partition(": it is not there")[0] for line in err.splitlines() if ": it is not there" in line]
    assert len(asked) >= 3, err
    assert len(asked) == len(set(asked))


def test_a_document_that_cannot_be_written_is_named_as_it_was_typed(told: Any) -> None:
    code, err = told("search", "det", "--json", "/proc/found.json")
    assert code == 1
    assert err.startswith("error[system]: the system refused `/proc/found.json`: ")
    assert ".found.json" not in err, "of the file beside it nobody knows"
