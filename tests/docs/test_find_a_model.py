"""The commands of the page on finding models, typed in their order; the index holds the whole catalogue."""

from __future__ import annotations

import json
from pathlib import Path

from login_node import Login
from page_reader import ROOT, Reader
from zoo_site import write_catalogue

PAGE = "find-a-model.md"


def test_the_commands_of_the_page_find_what_it_says(tmp_path: Path) -> None:
    index = write_catalogue(tmp_path / "index")
    desk = Login.at(tmp_path, MIMCTL_INDEX_URL=str(index), MIMCTL_CACHE_DIR=str(tmp_path / "cache"))
    reader = Reader(PAGE, desk, {"rtmdet_x_8xb32-300e_coco --dest .": "rtmdet_nano --dest here"})
    text = (ROOT / "docs" / "how-to" / PAGE).read_text(encoding="utf-8")
    assert reader.types("mimctl search det 'box_ap>=52'").endswith(text.split("```text\n")[1].split("```")[0])
    names = reader.types("mimctl search det --config").splitlines()
    assert {line.split("_")[0] for line in names[2:]} == {"rtmdet", "rtmdet-ins", "yolox"}
    assert "lvis_v1/mask_ap" in reader.types("mimctl search det --task")
    assert "vit-base" in reader.types("mimctl search cls --paper")
    assert "imagenet-1k/top_1_accuracy" in reader.types("mimctl search cls 'imagenet")
    assert "epochs" in reader.types("mimctl search det --condition")
    assert "buildable" in reader.types("mimctl search cls 'buildable")
    assert "ade20k/miou\n" in reader.types("mimctl search seg --valid-field")
    assert json.loads(reader.types("mimctl search det 'box_ap>=40' --sort params --json"))["models"]
    assert "rtmdet_tiny_8xb32-300e_coco\n" in reader.types("mimctl search det --model rtmdet --valid-config")
    assert "weight" in reader.types("mimctl search det cls --model resnet --to-dict")
    assert "found.json" in reader.types("mimctl search det --model rtmdet --json found.json")
    assert len(json.loads((tmp_path / "found.json").read_text())["models"]) == 15
    reader.types("mimctl download det")
    assert len(list((tmp_path / "here").glob("rtmdet_nano*"))) == 2
    assert not reader.left
