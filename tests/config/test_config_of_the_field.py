"""Config is made and compared as people know it from MMEngine."""

from __future__ import annotations

from pathlib import Path

from mimctl.config import Config


def test_config_is_made_of_values() -> None:
    made = Config(cfg_dict={"a": {"b": 1}}, filename=Path("x.py"))
    assert (made.a.b, made.filename) == (1, "x.py")
    assert made.to_dict(keep_imported=True) == {"a": {"b": 1}}
    assert Config({"a": 1}, "a = 1", "y.py", {}, False).filename == "y.py"


def test_two_configs_differ_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("a = 1\nb = 2\n", encoding="utf-8")
    told = Config.diff(path, Config({"a": 1, "b": 3})).splitlines()
    assert told[:2] == ["--- cfg1", "+++ cfg2"]
    assert {"-b = 2", "+b = 3"} <= set(told)
    assert Config.diff(path, str(path)) == ""
