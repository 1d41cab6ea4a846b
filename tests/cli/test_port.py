"""`mimctl port` as people type it."""

from __future__ import annotations

import json

import pytest

OLD = "from mmengine.hooks import Hook\nfrom mmengine.hub import get_config\n"
NEW = "from mimctl.engine import Hook\nfrom mmengine.hub import get_config\n"


@pytest.fixture
def folder(mimctl, tmp_path):
    """A folder in the one that `mimctl` is run in."""
    place = tmp_path / "here" / "mine"
    place.mkdir()
    (place / "a.py").write_text(OLD)
    (place / "b.py").write_text("raise SystemExit('imported')\n")
    return place


def test_the_diff_is_data_and_the_rest_is_told(mimctl, folder):
    said = mimctl("port", "mine")
    assert said.code == 0
    assert said.out == (
        "--- a/mine/a.py\n+++ b/mine/a.py\n@@ -1,2 +1,2 @@\n"
        "-from mmengine.hooks import Hook\n+from mimctl.engine import Hook\n from mmengine.hub import get_config\n"
    )
    assert said.err.startswith("left mine/a.py:2: `mmengine.hub.get_config`: ")
    assert said.err.endswith(
        "1 of 2 files to change, 1 name without a counterpart\nhint: change the files: `mimctl port --write mine`\n"
    )
    assert (folder / "a.py").read_text() == OLD


def test_write_changes_the_files_and_check_says_whether_something_is_left(mimctl, folder):
    assert mimctl("port", "mine", "--check").code == 1
    said = mimctl("port", "mine", "--write")
    assert (said.code, said.out) == (0, "ported: mine/a.py (1 name)\n")
    assert (folder / "a.py").read_text() == NEW
    checked = mimctl("port", "mine", "--check")
    assert (checked.code, checked.out) == (1, ""), "one name has no counterpart"
    (folder / "a.py").write_text("import torch\n")
    assert mimctl("port", "mine", "--check").code == 0


def test_a_refused_file_makes_the_exit_code_1(mimctl, folder):
    (folder / "c.py").write_text("x = 1\ndef (\n")
    said = mimctl("port", "mine", "--write")
    assert said.code == 1
    assert "refused mine/c.py:2: " in said.err
    assert (folder / "a.py").read_text() == NEW


def test_the_document_says_the_same(mimctl, folder):
    said = mimctl("port", "mine", "--json")
    document = json.loads(said.out)
    assert (document["seen"], document["written"], document["refused"]) == (2, False, [])
    (file,) = document["files"]
    assert file["path"] == "mine/a.py"
    assert file["moved"] == [{"line": 1, "old": "mmengine.hooks.Hook", "new": "mimctl.engine.Hook"}]
    assert [(each["line"], each["name"]) for each in file["left"]] == [(2, "mmengine.hub.get_config")]
    assert document["diff"] == file["diff"]


def test_what_cannot_be_asked_for_is_a_usage_error(mimctl, folder):
    assert mimctl("port").code == 2
    assert mimctl("port", "mine", "--write", "--check").code == 2
    said = mimctl("port", "min")
    assert (said.code, "error[port-not-found]" in said.err) == (2, True)


def test_it_works_where_no_environment_is_found(mimctl, folder):
    assert mimctl("port", "mine", env={"MIMCTL_PYTHON": "/nowhere/python"}).code == 0
