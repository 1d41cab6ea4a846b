"""The catalogue: its source files, what is imported into them, what is irregular there."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.errors import IntegrityError, UsageError
from mimctl.plugin.openmmlab import CATALOGUES
from mimctl.zoo.catalogue.entries import METADATA, ORIGIN, collections_of, entries_of, merge
from mimctl.zoo.catalogue.facts import RELEASES, import_facts
from mimctl.zoo.catalogue.importing import find_irregular, import_models, root_of
from mimctl.zoo.catalogue.lint import faults_of
from mimctl.zoo.catalogue.source import load_yaml, read, to_text, write
from mimctl.zoo.document import document_of, parse_zoo
from mimctl.zoo.metafile import parse_metafiles
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "index" / "zoo").glob("*.yaml"))
METAFILE = """\
Collections:
  - Name: Net
    Metadata: {Training Data: COCO, Architecture: [FPN]}
    Paper: {URL: https://example.org/net, Title: A Net}
    README: configs/net/README.md
Models:
  - Name: net_s
    Alias: [net-s]
    In Collection: Net
    Config: configs/net/net_s.py
    Metadata: {Epochs: 12, Parameters: 24.33M}
    Results: [{Task: Object Detection, Dataset: COCO, Metrics: {box AP: 40.5, odd: null}}]
    Weights: https://weights.example.org/net_s-12345678.pth
    Training Log: https://weights.example.org/net_s.log.json
  - Name: net_s
    In Collection: Net
    Config: configs/net/gone.py
    Weights: https://weights.example.org/net_s-12345678.pth
  - Name: tracker
    In Collection: Net
    Config: configs/net/net_s.py
    Weights: [https://weights.example.org/a.pth, https://weights.example.org/b.pth]
  - Name: net_slip
    In Collection: Net
    Config: configs/net/net_s.py
    Weights: https://weihgts.example.org/net_slip-12345678.pth
  - Name: "../evil"
    Weights: nowhere
  - just a text
"""

texts = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]), max_size=12)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
entries = st.builds(
    ModelEntry,
    name=st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True),
    collection=texts,
    metadata=st.dictionaries(texts, numbers | texts | st.lists(texts, max_size=2), max_size=3),
    results=st.tuples(st.fixed_dictionaries({"task": texts, "metrics": st.dictionaries(texts, numbers, max_size=2)})),
    is_buildable=st.booleans(),
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder in OpenMMLab's form, with all that is irregular in such folders."""
    for name, text in {
        "model-index.yml": "Import: [configs/*/metafile.yml]\n",
        "configs/net/metafile.yml": METAFILE,
        "configs/net/net_s.py": "x = 1\n",
    }.items():
        place = tmp_path / "repository" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return tmp_path / "repository"


@settings(max_examples=50)
@given(st.lists(entries, max_size=4), st.dictionaries(texts, st.dictionaries(texts, texts, max_size=2), max_size=2))
def test_a_source_reads_back_what_was_written(found: list[ModelEntry], collections: dict[str, dict[str, str]]) -> None:
    zoo = Zoo(plugin="det", models=tuple(found), collections=collections)
    assert parse_zoo(load_yaml(to_text(zoo).encode())) == zoo


def test_a_package_is_imported_with_all_that_is_irregular_in_it(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "zoo"
    own = ModelEntry(name="nano", weights=WeightsSource(file="zoo/files/nano.safetensors"), is_buildable=True)
    old = ModelEntry(name="old", config_source="net==0.9")
    write(out / "net.yaml", Zoo(plugin="net", models=(old, own)))
    done = import_models(root_of(package), out=out, plugin="net", source="net==1.0", buildable=["net_s"])
    zoo = read(done.path)
    assert [each.name for each in zoo.models] == ["nano", "net_s", "net_s", "tracker", "net_slip"]
    assert zoo.collections == {
        "Net": {"paper": "https://example.org/net", "title": "A Net", "readme": "configs/net/README.md"}
    }
    first, twin, tracker, _ = zoo.models[1:]
    assert first == ModelEntry(
        name="net_s",
        aliases=("net-s",),
        collection="Net",
        config="net/net_s.py",
        config_source="net==1.0",
        weights=WeightsSource(url="https://weights.example.org/net_s-12345678.pth", sha8="12345678"),
        log=WeightsSource(url="https://weights.example.org/net_s.log.json"),
        results=({"task": "Object Detection", "dataset": "COCO", "metrics": {"box AP": 40.5}},),
        metadata={"Parameters": "24.33M", "Epochs": 12, "Training Data": "COCO"},
        is_buildable=True,
    )
    assert (twin.config, tracker.weights, len(tracker.parts)) == (None, None, 2)
    told = [str(each) for each in done.findings]
    for words in ("not a model", "`net_s` comes 2 times", "gone.py", "weihgts.example.org", "../evil", "'nowhere'"):
        assert any(words in each for each in told), words
    assert [str(each) for each in find_irregular(package)] == told
    again = import_models(root_of(package), out=out, plugin="net", source="net==1.1")
    assert [each.name for each in read(again.path).models] == ["nano", "net_s", "net_s", "tracker", "net_slip"]
    assert read(again.path).models[1].is_buildable, "what was called buildable stays so"


def test_a_dry_run_writes_nothing_and_a_folder_without_models_is_told(package: Path, tmp_path: Path) -> None:
    import_models(root_of(package), out=tmp_path / "zoo", plugin="net", source="net==1.0", dry_run=True)
    assert not (tmp_path / "zoo").exists()
    with pytest.raises(UsageError) as caught:
        root_of(tmp_path)
    assert caught.value.code == "no-zoo"


@pytest.mark.parametrize("text", ["models: [", "plugin: det", "schema_version: 1\nplugin: det\nmodels: [{name: ../x}]"])
def test_a_source_that_is_none_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "det.yaml").write_text(text)
    with pytest.raises(IntegrityError) as caught:
        read(tmp_path / "det.yaml")
    assert caught.value.code == "bad-zoo"


def test_the_log_of_a_training_is_kept_where_it_is_an_address(package: Path, tmp_path: Path) -> None:
    done = import_models(root_of(package), out=tmp_path / "zoo", plugin="toy", source="toy==1.0")
    logs = [entry.log for entry in done.entries]
    assert logs == [WeightsSource(url="https://weights.example.org/net_s.log.json"), None, None, None]
    assert read(done.path).models == tuple(done.entries)
    for spelling, text, kept in (("log", "hf://o/r/x.log", "x.log"), ("Log", "nowhere", None), ("Log", "[]", None)):
        body = f"- {{Name: a, Training {spelling}: '{text}'}}".encode()
        (entry,) = entries_of(parse_metafiles([("m.yml", body)]).models, source="x==1")
        assert (entry.log.filename if entry.log else None) == kept


def test_merging_replaces_the_models_of_one_distribution_alone() -> None:
    old = Zoo(plugin="x", models=tuple(ModelEntry(name=name, config_source=f"{name}==1") for name in ("a", "b")))
    merged = merge(old, [ModelEntry(name="new", config_source="b==2")], collections_of([]))
    assert [each.name for each in merged.models] == ["a", "new"]


def test_lint_names_what_is_irregular_in_a_source() -> None:
    places = [WeightsSource(url=f"https://w.example.org/{number}.pth", sha8="1" * 8) for number in range(3)]
    usual = [ModelEntry(name=f"m{number}", config="a.py", weights=place) for number, place in enumerate(places)]
    odd = [
        ModelEntry(name="m0", config="a.py"),
        ModelEntry(name="dead"),
        ModelEntry(name="slip", config="a.py", weights=WeightsSource(url="https://w.exmaple.org/a.pth", sha8="1" * 8)),
        ModelEntry(name="unhashed", config="a.py", weights=WeightsSource(url="https://w.example.org/a.pth")),
    ]
    told = {each.where: each.what for each in faults_of(Zoo(plugin="net", models=(*usual, *odd)))}
    assert set(told) == {"net", "dead", "slip", "unhashed"}
    assert faults_of(Zoo(plugin="net", models=tuple(usual))) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_committed_source_is_written_as_it_would_be(path: Path) -> None:
    zoo = read(path)
    assert zoo.plugin == path.stem
    assert to_text(zoo) == path.read_text(encoding="utf-8")


def test_the_committed_catalogue_holds_every_published_model(test_reference: Path) -> None:
    facts: dict[str, Any] = json.loads((test_reference / "zoo.json").read_text(encoding="utf-8"))
    assert {CATALOGUES[package] for package in facts} == {path.stem for path in SOURCES}
    published = 0
    for package, each in facts.items():
        zoo = read(ROOT / "index" / "zoo" / f"{CATALOGUES[package]}.yaml")
        assert import_facts(zoo, each, RELEASES[package]) == zoo, "the import makes what is committed"
        held = [entry for entry in zoo.models if entry.config_source == RELEASES[package]]
        assert [entry.name for entry in held] == [model["name"] for model in each["models"]]
        published += len(held)
    assert published == sum(len(each["models"]) for each in facts.values())


def test_the_reference_names_every_key() -> None:
    text = (ROOT / "docs" / "reference" / "catalogue.md").read_text(encoding="utf-8")
    source = WeightsSource(url="u", sha256="a" * 64, sha8="a" * 8, size=1, file="f")
    whole = ModelEntry(
        name="a",
        aliases=("b",),
        collection="c",
        config="d",
        config_file="e",
        weights=source,
        log=source,
        parts=("f",),
        files=(source,),
        results=({"task": "t", "dataset": "d", "metrics": {"m": 1}},),
        metadata=dict.fromkeys((*METADATA, ORIGIN), 1),
        is_buildable=True,
    )
    document = document_of(Zoo(plugin="x", models=(whole,), collections={"c": {"paper": "p", "title": "t"}}))
    (model,) = document["models"]
    assert set(model) == {each.name for each in fields(ModelEntry)} - {"is_buildable", "address"} | {"buildable"}
    keys = {*document, *model, *model["weights"], *model["results"][0], *model["metadata"], "paper", "title", "readme"}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


def test_entries_keep_no_line_break_and_no_control_character() -> None:
    (entry,) = entries_of(
        [{"name": "a", "collection": "x\x1b[2J\ny", "metadata": {"Training Data": ["a\tb", "c\x00"]}, "weights": []}],
        source="x==1",
    )
    assert entry.collection == "x[2J y"
    assert entry.metadata == {"Training Data": ["a b", "c"]}
