"""A config that came with a checkpoint imports nothing, and reaches into no other file, until the user says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mimctl.config.beside import Header

IMPORTS = "custom_imports = dict(imports=['evil'], allow_failed_imports=False)\n"
EVIL = "from pathlib import Path\nPath('MARK').touch()\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def folder(here: Path, toy: Path) -> Path:
    """A folder with a picture, and a module that leaves a mark when it is imported."""
    (here / "evil.py").write_text(EVIL)
    (here / "a.jpg").write_bytes(b"")
    loads = "\n\ndef infer(spec):\n    from mimctl.config import Config\n    import importlib\n"
    loads += "    wanted = Config.fromfile(spec.config).get('custom_imports') if spec.config else None\n"
    loads += "    for name in (wanted or {}).get('imports', []):\n        importlib.import_module(name)\n"
    loads += "    return {'classes': [], 'images': []}\n"
    entries = toy / "entries.py"
    entries.write_text(entries.read_text() + loads)
    return here


def downloaded(text: str) -> str:
    header = Header(title="net 1.0", weights=("net.pth",), needs_trust="custom_imports" in text, digest="0")
    return header.render() + text


def infer(mimctl, checkpoint, *more):
    return mimctl("infer", "toy", checkpoint, "a.jpg", "--gpus", "0", *more)


@pytest.mark.parametrize("name", ["net.pth", "net-0123abcd.pth", "epoch_12.pth", "best_score_epoch_3.pth", "last.pth"])
@pytest.mark.parametrize("has_header", [True, False])
def test_what_lies_beside_a_checkpoint_from_elsewhere_needs_consent(mimctl, folder, name, has_header):
    (folder / name).write_bytes(b"")
    text = "model = dict(type='ToyNet', width=4)\n" + IMPORTS
    (folder / "net.py").write_text(downloaded(text).replace("net.pth", name) if has_header else text)
    if not has_header and name.startswith(("best", "last", "epoch")):
        (folder / "evil.py").rename(folder / "evil.txt")
        (folder / "evil").mkdir()
        (folder / "evil.txt").rename(folder / "evil" / "__init__.py")
    said = infer(mimctl, name)
    assert said.code == 2
    assert "error[untrusted-config]: `net.py` came with a checkpoint and wants to import `evil`" in said.err
    assert not (folder / "MARK").exists()
    trusted = infer(mimctl, name, "--trust-config")
    assert trusted.code == 0, trusted.err
    assert (folder / "MARK").exists()


def test_a_config_that_the_user_names_needs_none(mimctl, folder):
    (folder / "net.pth").write_bytes(b"")
    (folder / "mine.py").write_text(IMPORTS)
    assert infer(mimctl, "net.pth", "--config", "mine.py").code == 0
    assert (folder / "MARK").exists()


def test_a_run_of_ones_own_needs_none_until_it_is_moved(mimctl, folder):
    (folder / "c.py").write_text("default_scope = 'toy'\nmodel = dict(type='ToyNet', width=4)\n")
    assert mimctl("train", "toy", "c.py", "--gpus", "0").code == 0
    work_dir = folder / "work_dirs" / "c"
    (work_dir / "c.py").write_text("model = dict(type='ToyNet', width=4)\n" + IMPORTS)
    said = infer(mimctl, work_dir / "epoch_2.pth")
    assert said.code == 0, said.err
    (folder / "MARK").unlink()
    shutil.move(work_dir, folder / "elsewhere")
    said = infer(mimctl, folder / "elsewhere" / "epoch_2.pth")
    assert "untrusted-config" in said.err
    assert not (folder / "MARK").exists()


@pytest.mark.parametrize("verb", ["train", "test"])
@pytest.mark.parametrize(
    "text",
    [IMPORTS, "custom_imports = dict(imports='evil')\n", "x = ['evil']\ncustom_imports = dict(imports=[*x, 'b'])\n"],
)
def test_training_with_a_downloaded_config_needs_consent(mimctl, folder, verb, text):
    (folder / "net.py").write_text(downloaded("default_scope = 'toy'\nmodel = dict(type='ToyNet', width=4)\n" + text))
    (folder / "net.pth").write_bytes(b"")
    more = ("-C", "net.pth") if verb == "test" else ()
    said = mimctl(verb, "toy", "net.py", "--gpus", "0", *more)
    assert said.code == 2
    assert "untrusted-config" in said.err
    assert "net.py:" in said.err
    assert not (folder / "MARK").exists()
    assert not (folder / "work_dirs").exists()
    assert mimctl(verb, "toy", "net.py", "--gpus", "0", *more, "--trust-config").code == 0


@pytest.mark.parametrize("base", ["../secret.json", "{outside}/secret.json", "link.json"])
def test_a_downloaded_config_is_built_on_nothing_beyond_its_folder(mimctl, folder, tmp_path, base):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text('{"auths": "s3cr3t"}')
    (tmp_path / "secret.json").write_text('{"auths": "s3cr3t"}')
    (folder / "link.json").symlink_to(outside / "secret.json")
    base = base.format(outside=outside)
    (folder / "net.py").write_text(
        downloaded(f"_base_ = '{base}'\ndefault_scope = 'toy'\nmodel = dict(type='ToyNet', width=4)\n")
    )
    said = mimctl("train", "toy", "net.py", "--gpus", "0")
    assert said.code == 2
    assert "untrusted-config" in said.err
    assert "s3cr3t" not in said.out + said.err
    assert mimctl("train", "toy", "net.py", "--gpus", "0", "--trust-config").code == 0


def test_a_downloaded_config_may_be_built_on_its_neighbours_and_on_toolboxes(mimctl, folder):
    (folder / "base.py").write_text("train_cfg = dict(by_epoch=True, max_epochs=3)\n")
    (folder / "net.py").write_text(downloaded("_base_ = 'toy::nets/toy_small.py'\nmodel = dict(width=5)\n"))
    said = mimctl("train", "toy", "net.py", "--gpus", "0")
    assert said.code == 0, said.err
    (folder / "net.py").write_text(
        downloaded("_base_ = './base.py'\ndefault_scope = 'toy'\nmodel = dict(type='ToyNet', width=4)\n")
    )
    assert mimctl("train", "toy", "net.py", "--gpus", "0").code == 0


def test_the_config_inside_a_checkpoint_imports_nothing(mimctl, folder):
    header = json.dumps({"__metadata__": {"mimctl": json.dumps({"cfg": IMPORTS})}}).encode()
    (folder / "net.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    said = infer(mimctl, "net.safetensors")
    assert said.code == 0, said.err
    assert not (folder / "MARK").exists()
