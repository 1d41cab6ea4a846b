"""Finding models in the whole committed catalogue: by model, data set, task, paper and config, and by its figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from static_server import Server
from zoo_site import SOURCES, write_catalogue

from mimctl import api
from mimctl.errors import IntegrityError
from mimctl.index.client import IndexClient
from mimctl.settings import Settings
from mimctl.zoo.catalogue.source import load_yaml
from mimctl.zoo.reading import load_rows
from mimctl.zoo.rows import Row
from mimctl.zoo.search import Query, search

ROOT = Path(__file__).resolve().parents[2]

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def sources() -> dict[str, Facts]:
    """The catalogue's sources, toolbox → document, as plain data."""
    return {name: load_yaml(path.read_bytes()) for name, path in SOURCES.items()}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that holds the whole catalogue, and nothing else."""
    return write_catalogue(tmp_path_factory.mktemp("catalogue") / "index")


@pytest.fixture(scope="module")
def rows(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The rows of each toolbox, as `search` reads them from the index."""
    client = IndexClient([str(catalogue)], cache_dir=tmp_path_factory.mktemp("cache"))
    return {name: load_rows(client, name) for name in SOURCES}


def words_of(document: Facts) -> Iterator[tuple[str, str, set[int]]]:
    """Yield (argument of the query, word, positions of the models that state it) for all that is stated."""
    stated: dict[tuple[str, str], set[int]] = {}
    for position, model in enumerate(document["models"]):
        family = document.get("collections", {}).get(model.get("collection"), {})
        trained = model.get("metadata", {}).get("Training Data") or [
            each["dataset"] for each in model.get("results", ()) if each.get("dataset") and each.get("metrics")
        ]
        words = {
            "configs": [model["name"], *model.get("aliases", ()), model.get("config")],
            "models": [model.get("collection")],
            "datasets": trained if isinstance(trained, list) else [trained],
            "tasks": [each.get("task") for each in model.get("results", ())],
            "papers": [family.get("paper"), family.get("title")],
        }
        for argument, each in ((argument, each) for argument, many in words.items() for each in many if each):
            stated.setdefault((argument, str(each)), set()).add(position)
    for (argument, word), positions in stated.items():
        yield argument, word, positions


@pytest.mark.parametrize("toolbox", SOURCES)
def test_every_model_is_found_by_all_that_is_stated_of_it(
    toolbox: str, sources: dict[str, Facts], rows: dict[str, list[Row]]
) -> None:
    position_of = {id(row): position for position, row in enumerate(rows[toolbox])}
    tried: dict[str, int] = {}
    for argument, word, positions in words_of(sources[toolbox]):
        if argument == "configs" and len(word) % 7:
            continue  # one name of seven: the others differ in nothing but their letters
        found = search(rows[toolbox], Query(**{argument: (word,)}))
        assert positions <= {position_of[id(row)] for row in found.rows}, (argument, word)
        tried[argument] = tried.get(argument, 0) + 1
    assert set(tried) == {"configs", "models", "datasets", "tasks", "papers"}
    assert tried["configs"] >= len(rows[toolbox]) // 10


@pytest.mark.parametrize("toolbox", SOURCES)
def test_conditions_on_figures_hold_for_those_models_that_state_them(
    toolbox: str, sources: dict[str, Facts], rows: dict[str, list[Row]]
) -> None:
    """Each metric of a toolbox: a condition at its median keeps the models whose figure is greater, in their order."""
    figures: dict[str, list[tuple[str, float]]] = {}
    for model in sources[toolbox]["models"]:
        for result in model.get("results", ()):
            for name, value in result.get("metrics", {}).items():
                field = "_".join(f"{result.get('dataset') or ''}/{name}".lower().split()).lstrip("/")
                if isinstance(value, int | float) and not isinstance(value, bool):
                    figures.setdefault(field, []).append((model["name"], float(value)))
    most = sorted(figures, key=lambda name: len(figures[name]), reverse=True)[:3]
    for field in most:
        values = sorted(value for _, value in figures[field])
        middle = values[len(values) // 2]
        found = search(rows[toolbox], Query(conditions=(f'"{field}">={middle}',), sort=(f"-{field}",)))
        assert {row.id for row in found.rows} == {name for name, value in figures[field] if value >= middle}
        values = [row.value(field) for row in found.rows]
        shown = [value[0] if isinstance(value, list) else value for value in values]
        assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(
    ("toolbox", "query", "first", "number"),
    [
        ("det", {"models": ("rtmdet",), "conditions": ("box_ap>=52",), "sort": ("box_ap",)}, "52.4", 6),
        ("det", {"tasks": ("instance",), "datasets": ("lvis",), "sort": ("-mask_ap",)}, "30.1", 20),
        ("det", {"papers": ("2107.08430",), "configs": ("yolox",), "sort": ("-box_ap",)}, "50.9", 4),
        ("cls", {"papers": ("an image is worth 16x16",), "conditions": ("top_1>=85",)}, None, None),
        ("pose", {"tasks": ("hand", "face"), "datasets": ("wflw",)}, None, None),
    ],
)
def test_questions_that_people_ask(
    toolbox: str, query: dict[str, Any], first: str | None, number: int | None, rows: dict[str, list[Row]]
) -> None:
    found = search(rows[toolbox], Query(**query))
    assert found.rows
    if first is not None:
        values = [found.rows[0].value(field) for field in found.used]
        assert str(next(value for value in values if value is not None)) == first
        assert len(found.rows) == number


MIM = [
    ("det", "--model", "rtmdet", "--condition", "epochs>100"),
    ("cls", "--condition", "128<batch_size<=256", "--sort", "batch_size", "epochs", "--descending"),
    ("cls", "--dataset", "cifar", "--field", "epochs", "weight", "config"),
    ("seg", "--config", "pspnet", "segformer", "--exclude-field", "weight", "readme", "--ascending"),
    ("pose", "--valid-field"),
    ("ocr", "--valid-config"),
    ("mmdet3d", "--to-dict"),
    ("mmrotate", "--json", "found.json"),
    ("action", "--task", "detection", "--paper", "slowfast", "--sort", "-map"),
]


@pytest.fixture
def mimctl(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `mimctl` with an index, in a folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MIMCTL", "VIRTUAL"))}
    own = {"MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}

    def run(*words: str, index: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-m", "mimctl", *words]
        environment = {**kept, **own, "PYTHONPATH": str(ROOT), "MIMCTL_INDEX_URL": index}
        return subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)

    return run


@pytest.mark.parametrize("words", MIM, ids=" ".join)
def test_all_spellings_of_mim_are_answered_offline_once_the_index_was_read(
    words: tuple[str, ...],
    mimctl: Callable[..., subprocess.CompletedProcess[str]],
    catalogue: Path,
    tmp_path: Path,
) -> None:
    server = Server(catalogue)
    online = mimctl("search", *words, index=server.address)
    server.close()
    assert online.returncode == 0, online.stderr
    offline = mimctl("search", *words, "--offline", index=server.address)
    assert (offline.returncode, offline.stdout) == (0, online.stdout)
    assert online.stdout.strip()
    if "--to-dict" in words:
        assert len(json.loads(online.stdout)) == len(load_yaml(SOURCES["det3d"].read_bytes())["models"])
    if "found.json" in words:
        assert len(json.loads((tmp_path / "found.json").read_text())["models"]) == 83


def test_all_toolboxes_stand_in_one_answer(catalogue: Path, tmp_path: Path, sources: dict[str, Facts]) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", home=tmp_path / "home", index=(str(catalogue),))
    found = api.search(list(SOURCES), Query(tasks=("object detection",)), settings=settings)
    assert {row.package for row in found.rows} == {"det", "det3d", "rotate", "track", "yolo"}
    assert len(api.search(list(SOURCES), settings=settings).rows) == sum(len(x["models"]) for x in sources.values())


@pytest.mark.parametrize(
    "model", [{"collection": "Net"}, {"name": "net", "results": [7]}, {"name": "net", "metadata": 7}]
)
def test_a_model_that_is_none_is_told_of(model: dict[str, Any]) -> None:
    class Source:
        def zoo(self, plugin: str) -> dict[str, Any]:
            return {"schema_version": 1, "plugin": plugin, "models": [model]}

    with pytest.raises(IntegrityError) as caught:
        search(load_rows(Source(), "det"), Query())
    assert caught.value.code == "bad-zoo"
