"""`mimctl list`: what is installed, and what is broken."""

from __future__ import annotations

import json

from toy_toolbox import MANIFEST, install_toolbox


def test_list_names_each_toolbox_sorted_with_its_version(mimctl, site, interpreter):
    install_toolbox(site, "toy")
    install_toolbox(site, "art")
    said = mimctl("list")
    assert said.code == 0
    assert said.err == f"target: {interpreter} (MIMCTL_PYTHON)\n"
    assert said.out == (
        "toolbox  version  what it is for\n"
        "art      0.1.0    a toolbox for tests\n"
        "toy      0.1.0    a toolbox for tests\n"
    )


def test_list_json_is_one_sorted_document(mimctl, site):
    install_toolbox(site, "toy")
    install_toolbox(site, "art")
    said = mimctl("list", "--json")
    document = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert (document["schema_version"], document["command"]) == (1, "list")
    assert [each["name"] for each in document["plugins"]] == ["art", "toy"]
    assert document["plugins"][1]["verbs"] == ["data", "infer", "test", "train"]


def test_quiet_list_is_names_alone(mimctl, toy):
    said = mimctl("list", "-q")
    assert (said.out, said.err) == ("toy\n", "")


def test_a_broken_toolbox_is_listed_with_its_reason_and_breaks_nothing_else(mimctl, site):
    install_toolbox(site, "toy")
    install_toolbox(site, "art", manifest="name = [")
    install_toolbox(site, "gone", entry="mimctl_nowhere")
    install_toolbox(site, "old", manifest=MANIFEST.replace("schema_version = 1", "schema_version = 9"))
    said = mimctl("list")
    assert said.code == 0
    assert "broken: manifest: not valid TOML" in said.out
    assert "broken: its package `mimctl_nowhere` is not there" in said.out
    assert "broken: manifest: it has schema version 9, this mimctl reads 1" in said.out
    assert "toy      0.1.0    a toolbox for tests" in said.out
    refused = mimctl("train", "gone", "x")
    assert refused.code == 1
    assert "error[broken-plugin]: toolbox `gone` is broken\n  cause: its package" in refused.err
    assert mimctl("train", "toy", "toy_small", "--dry-run", "--gpus", "0").code == 0


def test_two_toolboxes_that_claim_one_name_are_both_refused(mimctl, site):
    install_toolbox(site, "toy")
    install_toolbox(site, "art", manifest=MANIFEST.replace("oldart", "x").replace("old{name}", "oldtoy"))
    said = mimctl("list")
    assert said.out.count("the name `oldtoy` is claimed by") == 2


def test_an_editable_toolbox_is_found_through_its_pth_file(mimctl, site, tmp_path):
    project = tmp_path / "a project"
    project.mkdir()
    package = install_toolbox(site, "toy")
    package.rename(project / "mimctl_toy")
    (site / "_toy.pth").write_text(f"{project}\n")
    document = json.loads(mimctl("list", "--json").out)
    assert document["plugins"][0]["location"] == str(project / "mimctl_toy")


def test_an_editable_toolbox_behind_an_import_hook_is_found_through_its_direct_url(mimctl, site, tmp_path):
    project = tmp_path / "a project"
    (project / "src").mkdir(parents=True)
    package = install_toolbox(site, "toy")
    package.rename(project / "src" / "mimctl_toy")
    url = project.as_uri()
    (site / "mimctl_toy-0.1.0.dist-info" / "direct_url.json").write_text(json.dumps({"url": url}))
    document = json.loads(mimctl("list", "--json").out)
    assert document["plugins"][0]["location"] == str(project / "src" / "mimctl_toy")
