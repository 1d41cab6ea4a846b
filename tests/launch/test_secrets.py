"""What the environment holds stays there: no file of a run and nothing that is printed has it."""

from __future__ import annotations

import os
from pathlib import Path

from login_node import Login

CANARY = "s3cr3t-canary-7a1f"


def test_a_secret_of_the_environment_is_written_and_printed_nowhere(tmp_path: Path) -> None:
    desk = Login.at(tmp_path)
    secrets = {"WANDB_API_KEY": CANARY, "MY_TOKEN": CANARY, "MASTER_TOKEN": CANARY}
    trouble = "custom_hooks=[dict(type='Trouble', kind='error', at=3)]"
    line = ("train", "det", "toy.py", "--gpus", "0", "--cfg-options", trouble)
    before = os.umask(0o022)
    try:
        failed = desk.mimctl(*line, **secrets)
        others = [desk.mimctl(*line, *more, **secrets) for more in (["--dry-run", "-v"], ["--dry-run", "--json"])]
        others += [desk.mimctl(*words, **secrets) for words in (["status", "last", "--json"], ["logs", "last"])]
    finally:
        os.umask(before)
    assert failed.returncode == 1
    assert "ValueError: a bug in a hook" in failed.stderr, "the way of errors was gone, too"
    for done in (failed, *others):
        assert CANARY not in done.stdout + done.stderr
    files = [each for each in desk.folder.rglob("*") if each.is_file()]
    assert {"spec.json", "resume.json", "run.json", "events.jsonl", "toy.py"} <= {each.name for each in files}
    for each in files:
        assert CANARY.encode() not in each.read_bytes(), each
