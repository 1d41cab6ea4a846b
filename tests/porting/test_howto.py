"""The transcripts of docs/how-to/port-a-toolbox.md are what the command says."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from toy_toolbox import ROOT, command

from mimctl.plugin.entry_points import plugin_names
from mimctl.plugin.paths import import_paths

PAGE = ROOT / "docs" / "how-to" / "port-a-toolbox.md"


def test_the_page_shows_what_the_command_says(tmp_path):
    if "det" not in plugin_names(import_paths(None)):
        pytest.skip("the page was written where toolbox `det` is installed")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "hooks.py").write_text(next(text for language, text in blocks if language == "python"))
    transcripts = [text for _, text in blocks if text.startswith("$ ")]
    assert len(transcripts) == 2
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins" / "det")])}
    for text in transcripts:
        typed, _, shown = text.partition("\n")
        done = subprocess.run(
            command(*typed.removeprefix("$ mimctl ").split()), cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.stdout + done.stderr == shown
