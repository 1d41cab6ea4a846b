"""`mimctl zoo`: the models of a package brought into a catalogue, an index built from it, searched."""

from __future__ import annotations

import json

METAFILE = """\
Collections:
  - {Name: Net, Paper: {URL: https://example.org/net}}
Models:
  - Name: net_s
    In Collection: Net
    Config: configs/net/net_s.py
    Metadata: {Parameters: 24.33M}
    Results: [{Task: Object Detection, Dataset: COCO, Metrics: {box AP: 40.5}}]
    Weights: https://weights.example.org/net_s-12345678.pth
  - Name: net_l
    In Collection: Net
    Config: configs/net/net_l.py
    Metadata: {Parameters: 80M}
    Results: [{Task: Object Detection, Dataset: COCO, Metrics: {box AP: 48.5}}]
    Weights: https://weights.example.org/net_l-12345678.pth
"""


def test_models_of_a_folder_are_imported_checked_and_found(mimctl, tmp_path):
    folder = tmp_path / "net" / "configs" / "net"
    folder.mkdir(parents=True)
    (folder / "metafile.yml").write_text(METAFILE)
    (folder / "net_s.py").write_text("x = 1\n")
    unnamed = mimctl("zoo", "import", tmp_path / "net", "--out", "zoo")
    assert (unnamed.code, "--source" in unnamed.err) == (2, True)
    said = mimctl("zoo", "import", tmp_path / "net", "--source", "net==1.0", "--out", "zoo", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["models"], told["without_config"]) == (2, 1)
    assert ["net_l" in each["what"] for each in told["findings"]] == [True]
    checked = mimctl("zoo", "lint", "zoo")
    assert (checked.code, checked.out) == (1, "net_l: its config is not in the package that published it\n")
    again = mimctl("zoo", "import", tmp_path / "net", "--source", "net==1.0", "--out", "zoo", "-q")
    assert again.out.strip().endswith("zoo/net.yaml")
