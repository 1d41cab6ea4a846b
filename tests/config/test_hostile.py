"""Files that want more than to be data: refused with a line, quickly, in bounded memory, and nothing happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mimctl.config import Config
from mimctl.errors import ConfigError

CODE = {
    "system call": "import os\nx = os.system('touch MARK')",
    "imported function": "from os import system\nx = system('touch MARK')",
    "dunder import": "x = __import__('os').system('touch MARK')",
    "open": "x = open('MARK', 'w')",
    "eval": "x = eval('1')",
    "exec": "exec('import os')",
    "class escape": "x = ().__class__.__bases__[0].__subclasses__()",
    "method of a number": "x = (1).__class__",
    "function of a dict method": "d = dict()\nx = d.update.__self__",
    "format attribute": "x = '{0.__class__}'.format(1)",
    "format item": "x = '{0[a]}'.format(dict(a=1))",
    "nested format": "x = '{:{}}'.format(1, 10)",
    "lambda": "x = (lambda: 1)()",
    "def call": "def f():\n    return 1\nx = f()",
    "class": "class A: pass\nx = A()",
    "decorator": "import os\n@os.system('touch MARK')\ndef f(): pass\nx = dict(a=f)",
    "while": "while True:\n    pass",
    "with": "with open('MARK', 'w') as f:\n    pass",
    "try": "try:\n    x = 1\nexcept Exception:\n    pass",
    "walrus": "x = (y := 1)",
    "star import": "from os import *",
    "getattr": "x = getattr(dict, 'update')",
    "generator value": "x = type(1)",
    "bytes": "x = b'a'",
    "function as a value": "x = dict(a=len)",
    "yield": "x = (yield 1)",
    "global": "global x",
    "raise": "raise SystemExit(3)",
    "environment": "import os\nx = os.environ['HOME']",
    "environment get": "import os\nx = os.environ.get('HOME')",
    "base reassigned": "for _base_ in range(3):\n    pass",
}

BOMBS = {
    "big loop": "for i in range(10 ** 12):\n    x = i",
    "nested loops": "for i in range(10 ** 4):\n    for j in range(10 ** 4):\n        x = j",
    "big list": "x = list(range(10 ** 12))",
    "big sum": "x = sum(range(10 ** 12))",
    "big max": "x = max(range(10 ** 12))",
    "big text": "x = 'a' * 10 ** 10",
    "big list by product": "x = [0] * 10 ** 10",
    "big tuple by product": "x = 10 ** 10 * (0,)",
    "big number": "x = 10 ** 10 ** 10",
    "number squared again and again": "x = 9\nfor i in range(60):\n    x = x * x",
    "shift": "x = 1 << 10 ** 10",
    "text doubled": "x = 'ab'\nfor i in range(60):\n    x = x + x",
    "text doubled in place": "x = 'ab'\nfor i in range(60):\n    x += x",
    "list doubled": "x = [1]\nfor i in range(60):\n    x += x",
    "list extended": "x = [1]\nfor i in range(60):\n    x.extend(x)",
    "shared lists": "x = [1]\nfor i in range(60):\n    x = [x, x]",
    "shared dicts": "x = dict()\nfor i in range(60):\n    x = dict(a=x, b=x)",
    "shared compared": "x = [1]\ny = [1]\nfor i in range(60):\n    x = [x, x]\n    y = [y, y]\nz = x == y",
    "shared as text": "x = [1]\nfor i in range(60):\n    x = [x, x]\nx = str(x)",
    "shared formatted": "x = [1]\nfor i in range(60):\n    x = [x, x]\nx = f'{x}'",
    "shared in": "x = [1]\nfor i in range(60):\n    x = [x, x]\ny = x in [x[:]]",
    "shared copied": "import copy\nx = [1]\nfor i in range(60):\n    x = [x, x]\nx = copy.deepcopy(x)",
    "cycle": "x = []\nx.append(x)",
    "cycle of dicts": "x = dict()\nx['x'] = x",
    "cycle as text": "x = []\nx.append(x)\ny = str([x])",
    "deep list": "x = []\nfor i in range(5000):\n    x = [x]",
    "deep brackets": "x = " + "[" * 150 + "]" * 150,
    "deep sum": "x = " + "+".join(["1"] * 20000),
    "deep minus": "x = " + "-" * 5000 + "1",
    "deep attributes": "import a\nx = a" + ".b" * 20000,
    "wide format": "x = f'{1:1000000000}'",
    "wide format method": "x = '{:>1000000000}'.format(1)",
    "wide percent": "x = '%1000000000d' % 1",
    "star percent": "x = '%*d' % (1000000000, 1)",
    "ljust": "x = 'a'.ljust(10 ** 10)",
    "zfill": "x = 'a'.zfill(10 ** 10)",
    "replace": "x = ('a' * 10 ** 5).replace('a', 'b' * 10 ** 5)",
    "join": "x = ('a' * 10 ** 5).join(['b'] * 10 ** 5)",
    "set of pairs": "x = [(i, j) for i in range(10 ** 4) for j in range(10 ** 4)]",
    "dict comprehension": "x = {i: i for i in range(10 ** 9)}",
    "product by zip": "x = list(zip(range(10 ** 9), range(10 ** 9)))",
    "sum of lists": "x = sum([[1] * 1000 for i in range(900)], [])\nx = sum([x for i in range(900)], [])",
    "slices": "x = [0] * 900000\ny = [x[:] for i in range(1000)]",
    "inserts": "x = [0] * 500000\nfor i in range(400000):\n    x.insert(0, i)",
    "pops": "x = [0] * 500000\nfor i in range(400000):\n    x.pop(0)",
    "finds": "x = 'a' * 10 ** 7\nfor i in range(100000):\n    y = 'b' in x",
    "shared tuples as a key": "t = (1,)\nfor i in range(60):\n    t = (t, t)\nx = {t: 1}",
    "shared tuples set": "t = (1,)\nfor i in range(60):\n    t = (t, t)\nx = {t}",
    "shared tuples to set": "t = (1,)\nfor i in range(60):\n    t = (t, t)\nx = set([t])",
    "shared tuples looked up": "t = (1,)\nd = dict()\nfor i in range(60):\n    t = (t, t)\nx = d.get(t)",
    "shared tuples subscript": "t = (1,)\nd = dict()\nfor i in range(60):\n    t = (t, t)\nd[t] = 1",
    "shared tuples deleted": "t = (1,)\nd = dict()\nfor i in range(60):\n    t = (t, t)\ndel d[t]",
    "shared tuples updated": "t = (1,)\nd = dict()\nfor i in range(60):\n    t = (t, t)\nd.update([(t, 1)])",
    "shared tuples paired": "t = (1,)\nfor i in range(60):\n    t = (t, t)\nd = dict([(t, 1)])",
    "shared tuples added": "t = (1,)\ns = {1}\nfor i in range(60):\n    t = (t, t)\ns.add(t)",
    "shared tuples comprehended": "t = (1,)\nfor i in range(60):\n    t = (t, t)\nx = {k: 1 for k in [t]}",
    "fraction in a range": "x = 1.5 in range(10 ** 15)",
    "large range as a value": "x = range(10 ** 15)",
    "dict filled": "d = dict()\nfor i in range(10 ** 5):\n    d[i] = i",
    "dict updated": "d = dict()\nfor i in range(10 ** 5):\n    d.update({i: i})",
    "round": "x = round(5, -10 ** 9)",
    "open percent keys": "x = ('%(' * 10 ** 5) % dict(a=1)",
    "long percent flags": "x = ('%' + ' ' * 100 + '999999999d') % 1",
    "percent key hides a width": "x = '%(a%b)999999999d' % {'a%b': 1}",
    "long constant in a loop": f"for i in range(10 ** 6):\n    x = '{'a' * 390000}'",
    "long template in a loop": f"for i in range(10 ** 6):\n    x = '{'{{ ' * 130000}'",
    "long format in a loop": f"t = '{'a{}' * 100000}'\nfor i in range(10 ** 6):\n    x = t.format()",
    "source too long": "#" * 400_001,
    "wide source": "x = [" + "[]," * 300000 + "]",
    "long digits": "x = int('9' * 10 ** 6)",
}


@pytest.mark.parametrize("text", CODE.values(), ids=CODE.keys())
def test_what_would_run_code_is_refused_with_its_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        Config.fromstring(text, ".py", origin="hostile.py")
    assert caught.value.origin is not None
    assert caught.value.origin.line is not None
    assert list(tmp_path.iterdir()) == []


RUN = """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from mimctl.config import Config
from mimctl.errors import ConfigError
results = {}
for name, text in json.load(sys.stdin).items():
    start = time.process_time()
    try:
        Config.fromstring(text, sys.argv[1])
        code = "accepted"
    except ConfigError as err:
        code = err.code
    results[name] = (code, time.process_time() - start)
print(json.dumps(results))
# VmHWM counts from this program's start; ru_maxrss would carry over from the process that started it
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def run_bounded(texts: dict[str, str], suffix: str) -> dict[str, tuple[str, float]]:
    """Evaluate texts in a process that may use 1 GiB of address space; return code and seconds of each."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, suffix], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    results, peak = done.stdout.splitlines()
    assert int(peak) < 400
    found: dict[str, tuple[str, float]] = json.loads(results)
    return found


def test_bombs_are_refused_in_bounded_time_and_memory() -> None:
    results = run_bounded(BOMBS, ".py")
    assert {name: code for name, (code, _) in results.items() if code not in REFUSALS} == {}
    assert {name: spent for name, (_, spent) in results.items() if spent > 6} == {}


REFUSALS = {"config-limits", "config-syntax", "config-value", "config-not-data"}

LETTERS = list(zip("abcdefgh", "bcdefghi", strict=True))
YAML_BOMBS = {
    "aliases": "a: &a [1, 1]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in LETTERS),
    "merges": "a: &a {k: 1}\n" + "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 10)}]}}\n" for a, b in LETTERS),
    "cycle": "a: &a [*a]",
    "cycle of mappings": "a: &a {b: *a}",
    "object": "a: !!python/object/apply:os.system ['touch MARK']",
    "name": "a: !!python/name:os.system",
    "deep": "a: " + "[" * 3000 + "]" * 3000,
    "list as a key": "? [1, 2]\n: 3",
    "not a mapping": "- 1",
    "two documents": "a: 1\n---\nb: 2",
    "tab": "a:\n\t- 1",
}


def test_hostile_yaml_is_refused() -> None:
    results = run_bounded(YAML_BOMBS, ".yaml")
    assert {name: code for name, (code, _) in results.items() if code not in REFUSALS} == {}
    assert {name: spent for name, (_, spent) in results.items() if spent > 6} == {}


def test_hostile_json_is_refused() -> None:
    texts = {
        "deep": '{"a": ' + "[" * 100000,
        "list": "[1]",
        "long number": '{"a": ' + "9" * 100000 + "}",
        "cut": '{"a"',
    }
    results = run_bounded(texts, ".json")
    assert {name: code for name, (code, _) in results.items() if code not in REFUSALS} == {}


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.py"
    large.write_bytes(b"#" * 400_001)
    with pytest.raises(ConfigError, match="larger than 400 kB"):
        Config.fromfile(large)
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"x = 1\ny = '\xff\xfe'\n")
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(binary)
    assert str(caught.value.origin) == f"{binary}:2"


@pytest.mark.parametrize("base", ["base.py", "/etc/base.py", "../base.py"])
def test_text_reaches_no_file(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text("secret = 1")
    for text in (f"_base_ = '{base}'", "from x import read_base\nwith read_base():\n    from .base import *"):
        with pytest.raises(ConfigError) as caught:
            Config.fromstring(text)
        assert caught.value.code == "config-base"


def test_evaluating_configs_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from mimctl.config import Config; Config.fromstring('import torch\\nx = dict(t=torch.float16)');"
        "assert not {'torch', 'numpy', 'click', 'rich', 'requests'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
